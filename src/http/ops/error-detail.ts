import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import { type ErrorDetail, MAX_ERROR_DEPTH } from '../../domain/errors.ts'

/** What was thrown, as the store keeps it. Nested by hand: OpenAPI does not allow a schema that names itself. */
const schemaAt = (depth: number): TObject =>
  Type.Object(
    {
      name: Type.String(),
      message: Type.String(),
      code: Type.Optional(Type.String()),
      stack: Type.Optional(
        Type.Array(Type.String(), { description: "Frames of the handler's own code, innermost first" }),
      ),
      ...(depth < MAX_ERROR_DEPTH && {
        cause: Type.Optional(schemaAt(depth + 1)),
        errors: Type.Optional(Type.Array(schemaAt(depth + 1))),
      }),
    },
    depth === 0 ? { description: 'All that is known of what was thrown; secrets are taken out' } : {},
  )

/** TypeBox cannot infer the type of a schema that nests itself. */
export const ErrorDetailSchema = schemaAt(0) as TSchema as TSchema & { static: ErrorDetail }

import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { ProblemSchema } from '../../api/schema.ts'
import { DESCRIPTION, VERSION } from '../../domain/version.ts'

const PROBLEM = {
  description: 'Refused, or failed: a problem document',
  content: { 'application/problem+json': { schema: ProblemSchema } },
}

interface Operation {
  readonly responses?: Record<string, unknown>
}

/** Describes every route registered after it, at `/openapi.json`. */
export function registerOpenApi(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Holdfast ops API', description: DESCRIPTION, version: VERSION },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transformObject: (document) => {
      const description = 'openapiObject' in document ? document.openapiObject : document.swaggerObject
      for (const methods of Object.values(description.paths ?? {})) {
        for (const { responses } of Object.values<Operation>(methods ?? {})) {
          if (responses !== undefined) responses.default = PROBLEM
        }
      }
      return description
    },
  })
}

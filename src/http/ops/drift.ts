import { Type } from '@sinclair/typebox'
import type { DriftStore } from '../../domain/drift-store.ts'
import { DriftSchema, driftJson } from '../schemas/drift.ts'
import { PageOf, pageJson, Text, Time } from '../schemas/schema.ts'
import { filterOf, type OpsApp, pageQuery, pageRequest } from './ops-app.ts'

const Query = Type.Object(
  {
    source: Type.Optional(Text('Name of the source')),
    type: Type.Optional(Text('Event type, or a pattern with *')),
    since: Type.Optional(Time('At or after')),
    until: Type.Optional(Time('Before')),
    ...pageQuery,
  },
  { additionalProperties: false },
)

export function registerDrift(app: OpsApp, store: DriftStore): void {
  app.get(
    '/v1/drift',
    {
      schema: {
        summary:
          'Changes in the shapes of payloads, the newest first: paths that are new, vanished, or of another kind',
        tags: ['events'],
        querystring: Query,
        response: { 200: PageOf(DriftSchema) },
      },
    },
    async ({ query }, reply) =>
      reply.send(pageJson(await store.driftEntries(filterOf(query), pageRequest(query)), driftJson)),
  )
}

import { type Static, Type } from '@sinclair/typebox'
import { type EventFacets, MAX_SUGGESTED } from '../../domain/event-facets.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import type { PayloadIndex } from '../../domain/payload-index.ts'
import { OutcomeCountsSchema, outcomeCountsJson, SuggestionsSchema } from '../schemas/event-facets.ts'
import { eventFields, receivedFields } from '../schemas/event-filter.ts'
import { OneOf } from '../schemas/schema.ts'
import { eventFilter } from './events.ts'
import type { OpsApp } from './ops-app.ts'

const CountQuery = Type.Object({ ...eventFields, ...receivedFields }, { additionalProperties: false })
const SuggestQuery = Type.Object(
  {
    field: OneOf(['source', 'type', 'handler', 'path']),
    prefix: Type.Optional(Type.String({ maxLength: MAX_NAME_LENGTH, description: 'How the name begins' })),
  },
  { additionalProperties: false },
)

/** What names are suggested from. */
export interface Facets {
  readonly store: { readonly facets: EventFacets; readonly payloadIndex: PayloadIndex }
  readonly handlers: () => readonly HandlerDefinition[]
  /** The configured ones. */
  readonly sources: () => readonly { readonly name: string }[]
}

export function registerEventFacets(app: OpsApp, facets: Facets): void {
  const { store } = facets
  const tags = ['events']
  const suggested = createSuggest(facets)
  app.get(
    '/v1/events/counts',
    {
      schema: {
        summary: 'How many events of a filter have each outcome, of at most 10,000 each',
        tags,
        querystring: CountQuery,
        response: { 200: OutcomeCountsSchema },
      },
    },
    async ({ query }, reply) => reply.send(outcomeCountsJson(await store.facets.countByOutcome(eventFilter(query)))),
  )

  app.get(
    '/v1/suggest',
    {
      schema: {
        summary:
          'Names that exist: sources (configured, or of stored events), types of stored events, handlers, and indexed paths',
        tags,
        querystring: SuggestQuery,
        response: { 200: SuggestionsSchema },
      },
    },
    async ({ query }, reply) => reply.send({ items: [...(await suggested(query.field, query.prefix))] }),
  )
}

type SuggestedField = Static<typeof SuggestQuery>['field']

/** Gives names that exist, and begin with the prefix, at most `MAX_SUGGESTED`. */
export function createSuggest({ store, handlers, sources }: Facets) {
  async function suggested(field: SuggestedField, prefix = ''): Promise<readonly string[]> {
    if (field === 'type') return store.facets.namesWith(field, prefix)
    return [...new Set(await namesOf(field, prefix))]
      .filter((name) => name.startsWith(prefix))
      .toSorted()
      .slice(0, MAX_SUGGESTED)
  }

  async function namesOf(field: 'source' | 'handler' | 'path', prefix: string): Promise<readonly string[]> {
    if (field === 'handler') return handlers().map(({ name }) => name)
    if (field === 'path') return (await store.payloadIndex.indexedPaths()).map(({ path }) => path)
    return [...(await store.facets.namesWith(field, prefix)), ...sources().map(({ name }) => name)]
  }
  return suggested
}

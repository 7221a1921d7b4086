import { commonPaths, type IndexedPath, type PayloadIndex } from '../../domain/payload-index.ts'
import type { SourceView } from '../schemas/configuration.ts'
import { PayloadIndexSchema, payloadIndexJson } from '../schemas/payload-index.ts'
import { noteChange, noteNoChange } from './audit.ts'
import type { OpsApp } from './ops-app.ts'

/** How long one request goes on with steps of indexing. */
const MAX_INDEXING_MS = 500

/** Shows how far the index of values in payloads has got, and takes it further. */
export function registerPayloadIndex(app: OpsApp, index: PayloadIndex, sources: () => readonly SourceView[]): void {
  /** Also those that are not indexed yet: another replica, or what runs since before a reload, does not have them. */
  async function paths(): Promise<readonly IndexedPath[]> {
    const indexed = await index.indexedPaths()
    const isIndexed = new Set(indexed.map(({ source, path }) => `${source} ${path}`))
    const waiting = commonPaths([sources()]).filter(({ source, path }) => !isIndexed.has(`${source} ${path}`))
    return [...indexed, ...waiting.map((each) => ({ ...each, share: 0 }))]
  }

  const tags = ['events']
  const response = { 200: PayloadIndexSchema }
  app.get(
    '/v1/payload-index',
    { schema: { summary: 'The paths of SOURCE_<NAME>_KEYS, whose values in payloads are indexed', tags, response } },
    async (_request, reply) => reply.send(payloadIndexJson(await paths())),
  )

  app.post(
    '/v1/payload-index/continue',
    {
      config: { audit: 'payload_index.continue' },
      schema: {
        summary:
          'Index more of the events that were stored before their path was set, for half a second; repeat until complete',
        tags,
        response,
      },
    },
    async (request, reply) => {
      const endMs = performance.now() + MAX_INDEXING_MS
      let steps = 0
      while (performance.now() < endMs && (await index.indexStep())) steps++
      if (steps > 0) noteChange(request, { target: 'payload index', count: steps })
      else noteNoChange(request)
      return reply.send(payloadIndexJson(await paths()))
    },
  )
}

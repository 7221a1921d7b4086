import { Type } from '@sinclair/typebox'
import type { Source } from '../../domain/source.ts'
import type { OpsApp } from './ops-app.ts'
import { OneOf } from './paging.ts'

/** What may be told of a source; its secrets are not even within reach. */
export type SourceView = Pick<Source, 'name' | 'types' | 'url'> & { readonly provider: { readonly name: string } }

/** How it goes with a source; times in ms since the epoch. */
export interface SourceState {
  readonly lastWebhookAtMs: number | undefined
  /** Tasks that had to be asked for, within the last hour. */
  readonly recovered: number
  /** Null: its provider cannot be asked. */
  readonly breaker: 'closed' | 'open' | 'half_open' | null
  readonly silentSinceMs: number | undefined
}

const NullableTime = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description })

const Answer = Type.Object({
  items: Type.Array(
    Type.Object({
      name: Type.String(),
      provider: Type.String(),
      types: Type.Array(Type.String(), { description: 'Event-type patterns accepted at this source' }),
      path: Type.String(),
      url: Type.Union([Type.String(), Type.Null()], {
        description: 'Where the provider reaches it, if that is configured',
      }),
      last_event_at: NullableTime('When its last webhook came'),
      recovered_last_hour: Type.Integer({ description: 'Tasks whose end had to be asked for' }),
      breaker: Type.Union([OneOf(['closed', 'open', 'half_open']), Type.Null()], {
        description: 'Whether its provider is asked: not while open; null: it cannot be',
      }),
      silent_since: NullableTime('Since when its tasks end by poll alone; null while webhooks come'),
    }),
  ),
})

export function registerSources(
  app: OpsApp,
  sources: readonly SourceView[],
  stateOf: (source: string) => Promise<SourceState>,
): void {
  app.get(
    '/v1/sources',
    {
      schema: {
        summary: 'The configured sources and how it goes with them',
        tags: ['configuration'],
        response: { 200: Answer },
      },
    },
    async (_request, reply) => reply.send({ items: await Promise.all(sources.map((source) => item(source))) }),
  )

  async function item({ name, provider, types, url }: SourceView) {
    const { lastWebhookAtMs, recovered, breaker, silentSinceMs } = await stateOf(name)
    return {
      name,
      provider: provider.name,
      types: [...types],
      path: `/v1/webhooks/${name}`,
      url: url ?? null,
      last_event_at: isoOrNull(lastWebhookAtMs),
      recovered_last_hour: recovered,
      breaker,
      silent_since: isoOrNull(silentSinceMs),
    }
  }
}

const isoOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString())

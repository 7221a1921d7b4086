import { type Static, Type } from '@sinclair/typebox'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { BREAKER_STATES, type Source, type SourceState } from '../../domain/source.ts'
import { isoOrNull, Nullable, OneOf, Time } from './schema.ts'

export const SourceSchema = Type.Object({
  name: Type.String(),
  provider: Type.String(),
  types: Type.Array(Type.String(), { description: 'Event-type patterns accepted at this source' }),
  path: Type.String(),
  url: Nullable(Type.String(), 'The URL that the provider calls; null if PUBLIC_URL is not set'),
  last_event_at: Nullable(Time(), 'When its last webhook came'),
  recovered_last_hour: Type.Integer({ description: 'Tasks of the last hour that ended by a poll' }),
  breaker: Nullable(
    OneOf(BREAKER_STATES),
    'The circuit breaker of the calls to its provider; null: the provider cannot be called',
  ),
  silent_since: Nullable(Time(), 'Since when no webhooks arrive and its tasks end only by poll; null: webhooks arrive'),
})
export type SourceJson = Static<typeof SourceSchema>

/** The fields of a source that may be shown. Its secrets are not among them. */
export type SourceView = Pick<Source, 'name' | 'types' | 'url'> & { readonly provider: { readonly name: string } }

export const sourceJson = ({ name, provider, types, url }: SourceView, state: SourceState): SourceJson => ({
  name,
  provider: provider.name,
  types: [...types],
  path: `/v1/webhooks/${name}`,
  url: url ?? null,
  last_event_at: isoOrNull(state.lastWebhookAtMs),
  recovered_last_hour: state.recovered,
  breaker: state.breaker,
  silent_since: isoOrNull(state.silentSinceMs),
})

export const HandlerSchema = Type.Object({
  name: Type.String(),
  types: Type.Array(Type.String(), { description: 'Event-type patterns' }),
  source: Nullable(Type.String(), 'The only source whose events it takes'),
  concurrency: Nullable(Type.Integer(), 'How many of it may run at once'),
})
export type HandlerJson = Static<typeof HandlerSchema>

export const handlerJson = ({ name, types, source, concurrency }: HandlerDefinition): HandlerJson => ({
  name,
  types: [...types],
  source: source ?? null,
  concurrency: concurrency ?? null,
})

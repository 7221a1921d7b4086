import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { type AttemptPolicy, attemptPolicyOf } from '../../domain/handler-policy.ts'
import type { Pause } from '../../domain/pause.ts'
import {
  BREAKER_STATES,
  type ProviderOutage,
  type SecretUse,
  type Source,
  type SourceState,
} from '../../domain/source.ts'
import type { SourceHealth } from '../../domain/source-health.ts'
import { PausedSchema, pausedJson } from './pauses.ts'
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
  outage: Nullable(
    Type.Object({
      since: Time(),
      cause: Type.String({ description: 'How the last call failed' }),
      retry_in_ms: Type.Integer({ description: 'In how long one call is tried; 0: as soon as a task is due' }),
    }),
    'Why the circuit breaker is not closed, as this process knows it; null: it is closed, or there is none',
  ),
  secrets: Type.Array(
    Type.Object({
      place: Type.Integer({ description: 'Its place in the setting, from 1: the newest' }),
      verified: Type.Integer({ description: 'How many webhooks it has verified' }),
      last_verified_at: Nullable(Time(), 'When it last verified one; null: not since `since`'),
      since: Time('Since when this process counts for it'),
    }),
    { description: 'Which secret verifies the webhooks that this process receives. A secret itself is never shown' },
  ),
  usual_gap_seconds: Nullable(
    Type.Number(),
    'Half of the gaps between its webhooks in the last four weeks were not longer; null: not known yet',
  ),
  silent_since: Nullable(
    Time(),
    'Since when no webhook has come, if that is longer than usual or than EXPECT_EVERY says, or if its tasks end only by poll meanwhile; null: webhooks come',
  ),
  refusing_since: Nullable(
    Time(),
    'Since when its requests are refused for their signatures, and none or hardly any is accepted; null: they are accepted',
  ),
  refusing_reason: Nullable(Type.String(), 'The most frequent reason'),
  paused: PausedSchema,
})
export type SourceJson = Static<typeof SourceSchema>

/** The fields of a source that may be shown. Its secrets are not among them. */
export type SourceView = Pick<Source, 'name' | 'types' | 'url' | 'keys'> & {
  readonly provider: { readonly name: string }
}

export const sourceJson = (
  { name, provider, types, url }: SourceView,
  state: SourceState,
  health: SourceHealth,
  secretUses: readonly SecretUse[],
  pause: Pause | undefined,
): SourceJson => ({
  name,
  provider: provider.name,
  types: [...types],
  path: `/v1/webhooks/${name}`,
  url: url ?? null,
  last_event_at: isoOrNull(state.lastWebhookAtMs),
  recovered_last_hour: state.recovered,
  breaker: state.breaker,
  outage: outageJson(state.outage),
  secrets: secretUses.map(({ place, verified, lastVerifiedAtMs, sinceMs }) => ({
    place,
    verified,
    last_verified_at: isoOrNull(lastVerifiedAtMs),
    since: toIso(sinceMs),
  })),
  usual_gap_seconds: health.usualGapMs === undefined ? null : health.usualGapMs / 1000,
  silent_since: isoOrNull(health.silentSinceMs ?? state.silentSinceMs),
  refusing_since: isoOrNull(health.refusingSinceMs),
  refusing_reason: health.refusingReason ?? null,
  paused: pausedJson(pause),
})

const outageJson = (outage: ProviderOutage | undefined): SourceJson['outage'] =>
  outage === undefined
    ? null
    : { since: toIso(outage.sinceMs), cause: outage.cause, retry_in_ms: Math.ceil(outage.retryInMs) }

export const HandlerSchema = Type.Object({
  name: Type.String(),
  types: Type.Array(Type.String(), { description: 'Event-type patterns' }),
  source: Nullable(Type.String(), 'The only source whose events it takes'),
  concurrency: Nullable(Type.Integer(), 'How many of its attempts may run at once'),
  timeout_ms: Type.Integer({ description: 'The deadline of each attempt' }),
  retry: Type.Object({
    max_attempts: Type.Integer({ description: 'After this many attempts a delivery is dead' }),
    base_ms: Type.Integer({
      description: 'The longest wait after the first attempt, which doubles with each further one',
    }),
    cap_ms: Type.Integer({ description: 'The longest wait of all' }),
  }),
  rate: Nullable(
    Type.Object({ limit: Type.Integer(), per_ms: Type.Integer() }),
    'How many attempts may start in any period of `per_ms`, over all replicas; null: as many as there is capacity for',
  ),
  order_by: Nullable(
    Type.String(),
    'The path in the event by whose value its events run one after another; null: in no order',
  ),
  running: Type.Boolean({ description: 'Whether a running process has it; if none has, its deliveries wait' }),
  paused: PausedSchema,
})
export type HandlerJson = Static<typeof HandlerSchema>

interface HandlerView {
  readonly handler: HandlerDefinition
  /** The service's settings, which count for what the handler has no policy of its own. */
  readonly service: AttemptPolicy
  readonly isRunning: boolean
  readonly pause: Pause | undefined
}

export function handlerJson({ handler, service, isRunning, pause }: HandlerView): HandlerJson {
  const { name, types, source, concurrency, rate, orderBy } = handler
  const { timeoutMs, retry } = attemptPolicyOf(handler, service)
  return {
    name,
    types: [...types],
    source: source ?? null,
    concurrency: concurrency ?? null,
    timeout_ms: timeoutMs,
    retry: { max_attempts: retry.maxAttempts, base_ms: retry.baseMs, cap_ms: retry.capMs },
    rate: rate === undefined ? null : { limit: rate.limit, per_ms: rate.perMs },
    order_by: orderBy ?? null,
    running: isRunning,
    paused: pausedJson(pause),
  }
}

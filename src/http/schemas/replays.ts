import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { EVENT_OUTCOMES } from '../../domain/outcome.ts'
import {
  type Probe,
  paceOf,
  REPLAY_STATES,
  type ReplayDetail,
  type ReplayFilter,
  type ReplayJob,
  SKIP_REASONS,
} from '../../domain/replay-jobs.ts'
import type { Matched } from '../../domain/replay-service.ts'
import { eventFields, payloadFields, receivedFields } from './event-filter.ts'
import { EventSchema } from './events.ts'
import { OneOf, Text, Time } from './schema.ts'

export const ReplayFilterSchema = Type.Object(
  {
    ...eventFields,
    ...receivedFields,
    ...payloadFields,
    outcome: Type.Optional(
      OneOf(
        EVENT_OUTCOMES,
        'What became of the event. With dead, discarded, failing or pending only such deliveries run again',
      ),
    ),
    handler: Type.Optional(
      Text(
        'Events with a delivery to this handler; only this handler runs, unless `handler` beside the filter names another',
      ),
    ),
    cause: Type.Optional(Text('Id of a cause: only dead deliveries that it has killed run again')),
  },
  { additionalProperties: false },
)

export const ReplayOrderSchema = Type.Object(
  {
    filter: ReplayFilterSchema,
    all: Type.Optional(Type.Boolean({ description: 'Must be true if the filter is empty' })),
    handler: Type.Optional(Text('Only this handler runs')),
    dry_run: Type.Optional(Type.Boolean({ description: 'Only count, and show some' })),
    per_second: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000, description: 'The most events in a second' }),
    ),
    probe: Type.Optional(
      Type.Boolean({ description: 'Replay one event first, and the others only if its first attempt succeeds' }),
    ),
  },
  { additionalProperties: false },
)

const matchedFields = {
  matched: Type.Integer({ description: 'Events that match' }),
  matched_more: Type.Optional(Type.Literal(true, { description: 'There are more than were counted' })),
}

export const DryRunSchema = Type.Object({
  ...matchedFields,
  sample: Type.Array(EventSchema, { description: 'The events that would be replayed first' }),
})

export const ReplayCreatedSchema = Type.Object({ id: Type.String(), ...matchedFields })

const ProbeSchema = Type.Object({
  state: OneOf(['waiting', 'running', 'succeeded', 'failed']),
  uid: Type.Optional(Type.String()),
  handlers: Type.Optional(Type.Array(Type.String())),
  outcome: Type.Optional(Type.String({ description: 'How its first attempt ended' })),
  error: Type.Optional(Type.String()),
})

const jobFields = {
  id: Type.String(),
  state: OneOf(['queued', ...REPLAY_STATES]),
  reason: Type.Optional(Type.String({ description: 'Why it was stopped' })),
  by: Type.Optional(Type.String()),
  filter: ReplayFilterSchema,
  handler: Type.Optional(Type.String()),
  per_second: Type.Optional(Type.Integer()),
  probe: Type.Optional(ProbeSchema),
  ...matchedFields,
  replayed: Type.Integer({ description: 'Events of which at least one delivery was made to run again' }),
  skipped: Type.Integer(),
  skips: Type.Partial(Type.Object(Object.fromEntries(SKIP_REASONS.map((reason) => [reason, Type.Integer()]))), {
    description: 'How many events were skipped, by reason',
  }),
  created_at: Time(),
  started_at: Type.Optional(Time()),
  ended_at: Type.Optional(Time()),
}

export const ReplayJobSchema = Type.Object(jobFields)

const OutcomeSchema = Type.Object({
  handler: Type.String(),
  pending: Type.Integer({ description: 'Not tried yet, or in their first attempt' }),
  failing: Type.Integer({ description: 'Failed again, and wait for another attempt' }),
  succeeded: Type.Integer(),
  dead: Type.Integer(),
  discarded: Type.Integer(),
})

export const ReplayDetailSchema = Type.Object({
  ...jobFields,
  outcomes: Type.Array(OutcomeSchema, { description: 'What became of its deliveries, by handler' }),
  rate: Type.Optional(Type.Number({ description: 'Events in a second so far' })),
  estimated_end_at: Type.Optional(Time()),
})

export type ReplayOrderJson = Static<typeof ReplayOrderSchema>
export type ReplayFilterJson = Static<typeof ReplayFilterSchema>
export type ReplayJobJson = Static<typeof ReplayJobSchema>
export type ReplayDetailJson = Static<typeof ReplayDetailSchema>
export type DryRunJson = Static<typeof DryRunSchema>
export type ReplayCreatedJson = Static<typeof ReplayCreatedSchema>

export const matchedJson = ({ matched, more }: Matched) => ({ matched, ...(more && { matched_more: true as const }) })

const filterJson = ({
  sinceMs,
  untilMs,
  delivery,
  outcome = delivery === 'waiting' ? undefined : delivery,
  match,
  ...same
}: ReplayFilter): ReplayFilterJson => ({
  ...same,
  ...(sinceMs !== undefined && { since: toIso(sinceMs) }),
  ...(untilMs !== undefined && { until: toIso(untilMs) }),
  ...(match !== undefined && { match: match.map(({ path, value }) => `${path}:${value}`) }),
  ...(outcome !== undefined && { outcome }),
})

const probeJson = ({ handlers, ...same }: Probe): Static<typeof ProbeSchema> => ({
  ...same,
  ...(handlers !== undefined && { handlers: [...handlers] }),
})

export const replayJobJson = (job: ReplayJob): ReplayJobJson => ({
  id: job.id,
  state: job.state === 'running' && job.startedAtMs === undefined ? 'queued' : job.state,
  ...(job.reason !== undefined && { reason: job.reason }),
  ...(job.by !== undefined && { by: job.by }),
  filter: filterJson(job.filter),
  ...(job.handler !== undefined && { handler: job.handler }),
  ...(job.perSecond !== undefined && { per_second: job.perSecond }),
  ...(job.probe !== undefined && {
    probe: probeJson(job.probe),
  }),
  ...matchedJson({ matched: job.matched, more: job.matchedMore === true }),
  replayed: job.replayed,
  skipped: job.skipped,
  skips: job.skips,
  created_at: toIso(job.createdAtMs),
  ...(job.startedAtMs !== undefined && { started_at: toIso(job.startedAtMs) }),
  ...(job.endedAtMs !== undefined && { ended_at: toIso(job.endedAtMs) }),
})

export const replayDetailJson = (job: ReplayDetail, nowMs: number): ReplayDetailJson => ({
  ...replayJobJson(job),
  outcomes: [...job.outcomes],
  ...progressOf(job, nowMs),
})

/** How fast a job has been so far, and when it ends at this speed. */
function progressOf(job: ReplayJob, nowMs: number): Pick<ReplayDetailJson, 'rate' | 'estimated_end_at'> {
  const { perSecond, leftMs } = paceOf(job, nowMs)
  if (perSecond === undefined) return {}
  return { rate: perSecond, ...(leftMs !== undefined && { estimated_end_at: toIso(Math.round(nowMs + leftMs)) }) }
}

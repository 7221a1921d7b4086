import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import type { StatNumbers, StatsReport, StatTimes } from '../../domain/stats.ts'
import { Nullable, Time } from './schema.ts'

export const Times = (description: string) =>
  Type.Object(
    {
      count: Type.Integer(),
      mean_ms: Nullable(Type.Number()),
      p50_ms: Nullable(Type.Number()),
      p99_ms: Nullable(Type.Number()),
    },
    { description: `${description}; null: nothing was counted. Quantiles are at most 9 % off` },
  )

const NumbersSchema = Type.Object({
  received: Type.Integer({ description: 'Events that were stored, of any status and origin' }),
  duplicates: Type.Integer({ description: 'Webhooks whose event was stored before' }),
  refused: Type.Record(Type.String(), Type.Integer(), { description: 'Refused requests by reason' }),
  handled: Type.Integer({ description: 'Attempts that succeeded' }),
  failed: Type.Integer({ description: 'Attempts that failed' }),
  dead: Type.Integer({ description: 'Deliveries whose last attempt failed' }),
  recovered: Type.Integer({ description: 'Tasks that ended by a poll' }),
  quarantined: Type.Integer({ description: 'Webhooks that were stored, but not understood' }),
  expired: Type.Integer({ description: 'Tasks that ended at their deadline' }),
  ack: Times('From the arrival of a webhook to its acknowledgement'),
  handler: Times('The duration of attempts'),
  queue: Times('From the time at which a delivery was due to its start'),
})

export const StatsSchema = Type.Object({
  since: Time('When the first step begins'),
  until: Time('When the last step ends'),
  step: Type.Integer({
    description: 'The length of a step in seconds; longer than asked for where numbers are kept by the hour',
  }),
  total: NumbersSchema,
  items: Type.Array(Type.Object({ at: Time('When the step begins'), ...NumbersSchema.properties }), {
    description: 'The steps, oldest first; those in which nothing was counted are left out',
  }),
})
export type StatsJson = Static<typeof StatsSchema>

export const statsJson = ({ sinceMs, untilMs, stepSeconds, total, points }: StatsReport): StatsJson => ({
  since: toIso(sinceMs),
  until: toIso(untilMs),
  step: stepSeconds,
  total: numbersJson(total),
  items: points.map(({ atMs, ...numbers }) => ({ at: toIso(atMs), ...numbersJson(numbers) })),
})

const numbersJson = ({ refused, ack, handler, queue, ...sums }: StatNumbers): StatsJson['total'] => ({
  ...sums,
  refused: Object.fromEntries(refused),
  ack: timesJson(ack),
  handler: timesJson(handler),
  queue: timesJson(queue),
})

export const timesJson = ({ count, meanMs, p50Ms, p99Ms }: StatTimes) => ({
  count,
  mean_ms: roundedOrNull(meanMs),
  p50_ms: roundedOrNull(p50Ms),
  p99_ms: roundedOrNull(p99Ms),
})

/** To the microsecond. */
const roundedOrNull = (ms: number | undefined): number | null =>
  ms === undefined ? null : Math.round(ms * 1000) / 1000

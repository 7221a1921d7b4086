import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { isHoldfastError } from '../../domain/errors.ts'
import type {
  KeyRange,
  LeasedReplay,
  NewReplayJob,
  Probe,
  ReplayBatch,
  ReplayFilter,
  ReplayJob,
  ReplayOutcome,
  ReplayState,
  SkipReason,
  Skips,
} from '../../domain/replay-jobs.ts'
import { type StoredState, stateOf } from './deliveries.ts'
import { OUTCOME_DRIVERS } from './outcomes.ts'

/** How both stores read and write the rows of replay jobs. */

/** How many rows one search for matching events reads at most. */
export const MAX_MATCHES_READ = 10_000

/** How many bodies one search reads at most, for how long, and how many bytes of them PostgreSQL sends at once. */
export const MAX_PAYLOADS_READ = 256
export const PAYLOADS_MS = 100
export const MAX_PAYLOAD_BYTES = 1024 * 1024

export type ReplayRow = Readonly<{
  key: number
  id: string
  asked_by: string | null
  filter: string
  handler: string | null
  per_second: number | null
  probe: string | null
  matched: number
  matched_more: number
  state: ReplayState
  reason: string | null
  created_at: number
  started_at: number | null
  ended_at: number | null
  replayed: number
  skipped: number
  skips: string
  cursor: number
  bound: number
  lease: string | null
  lease_until: number | null
}>

export const replayJobOf = (row: ReplayRow): ReplayJob => ({
  id: row.id,
  ...(row.asked_by !== null && { by: row.asked_by }),
  filter: JSON.parse(row.filter) as ReplayFilter,
  ...(row.handler !== null && { handler: row.handler }),
  ...(row.per_second !== null && { perSecond: row.per_second }),
  ...(row.probe !== null && { probe: JSON.parse(row.probe) as Probe }),
  matched: row.matched,
  ...(row.matched_more !== 0 && { matchedMore: true }),
  state: row.state,
  ...(row.reason !== null && { reason: row.reason }),
  createdAtMs: row.created_at,
  ...(row.started_at !== null && { startedAtMs: row.started_at }),
  ...(row.ended_at !== null && { endedAtMs: row.ended_at }),
  replayed: row.replayed,
  skipped: row.skipped,
  skips: JSON.parse(row.skips) as Skips,
})

/** Filters that select the same have the same text. */
export const storedFilter = (filter: ReplayFilter): string =>
  JSON.stringify(Object.fromEntries(Object.entries(filter).toSorted(([one], [other]) => (one < other ? -1 : 1))))

/** The values of a new row in the order of `NEW_COLUMNS`. */
export const NEW_COLUMNS =
  'id, asked_by, filter, handler, per_second, probe, matched, matched_more, cursor, bound, state, replayed, skipped, skips'
export const newValues = (job: NewReplayJob): readonly (string | number | null)[] => [
  job.id,
  job.by ?? null,
  storedFilter(job.filter),
  job.handler ?? null,
  job.perSecond ?? null,
  job.probe === undefined ? null : JSON.stringify(job.probe),
  job.matched,
  job.matchedMore === true ? 1 : 0,
  job.range.after,
  job.range.last,
  'running',
  0,
  0,
  '{}',
]

/** A row of the counts of a job's deliveries. `failing`: how many of them have failed before. */
export type OutcomeRow = Readonly<{ handler: string; state: StoredState; n: number; failing: number }>

export function outcomesOf(rows: readonly OutcomeRow[]): readonly ReplayOutcome[] {
  const byHandler = new Map<string, { -readonly [Field in keyof ReplayOutcome]: ReplayOutcome[Field] }>()
  for (const { handler, state: stored, n, failing } of rows) {
    const outcome = byHandler.get(handler) ?? { handler, pending: 0, failing: 0, succeeded: 0, dead: 0, discarded: 0 }
    byHandler.set(handler, outcome)
    const state = stateOf(stored)
    if (state === 'pending' || state === 'running') {
      outcome.failing += failing
      outcome.pending += n - failing
    } else outcome[state] += n
  }
  return [...byHandler.values()].toSorted((one, other) => (one.handler < other.handler ? -1 : 1))
}

export const leasedReplayOf = (
  row: ReplayRow,
  lease: string,
  outstanding: readonly { readonly handler: string; readonly n: number }[],
): LeasedReplay => ({
  ...replayJobOf(row),
  key: row.key,
  lease,
  range: { after: row.cursor, last: row.bound },
  outstanding: new Map(outstanding.map(({ handler, n }) => [handler, n])),
})

/** A row of `replay_tally`: how many deliveries to a handler had ended in a state when they were taken from the job. */
export type ReplayTally = Readonly<{ replay: number; handler: string; state: string; n: number }>

/** What a batch adds to its job. */
export interface BatchEffect {
  readonly replayed: number
  readonly skipped: number
  readonly skips: Skips
}

/** `results`: of each replay, undefined if its event was gone. */
export function batchEffect(
  before: Skips,
  { skips: added }: Pick<ReplayBatch, 'skips'>,
  results: readonly (Replayed | undefined)[],
): BatchEffect {
  const skips: { -readonly [Reason in keyof Skips]: Skips[Reason] } = { ...before }
  const skip = (reason: keyof Skips, n: number): void => {
    skips[reason] = (skips[reason] ?? 0) + n
    skipped += n
  }
  let skipped = 0
  let replayed = 0
  for (const [reason, n] of Object.entries(added)) skip(reason as keyof Skips, n)
  for (const result of results) {
    if (result === undefined) skip('gone', 1)
    else if (result.handlers.length > 0) replayed++
    else skip(reasonOf(result), 1)
  }
  return { replayed, skipped, skips }
}

function reasonOf({ status }: Replayed): SkipReason {
  if (status === 'accepted') return 'nothing_to_run'
  return status === 'unhandled' ? 'not_wanted' : 'not_accepted'
}

/** A probe waits for the handlers that its event runs for; the batch named those that may. */
export const startedProbe = (
  { probe }: Pick<ReplayBatch, 'probe'>,
  [first]: readonly (Replayed | undefined)[],
): Probe | undefined => (probe?.state === 'running' ? { ...probe, handlers: first?.handlers ?? [] } : probe)

export const isProbeAlone = ({ replays, skips, probe }: ReplayBatch): boolean =>
  probe !== undefined && replays.length === 0 && Object.keys(skips).length === 0

/** A replay by a job, for the transaction that marks its deliveries. */
export type JobReplay = Replay & { readonly job?: number }

export const isGone = (error: unknown): boolean => isHoldfastError(error, 'event_not_found')

/** An empty range: nothing matches. */
export const NO_KEYS: KeyRange = { after: 0, last: 0 }

/** The times before and after a filter's range. If they have few events, the range of all keys does for it, and is known at once. */
export const outsideOf = ({ sinceMs, untilMs }: ReplayFilter): readonly Pick<ReplayFilter, 'sinceMs' | 'untilMs'>[] => [
  ...(sinceMs === undefined ? [] : [{ untilMs: sinceMs }]),
  ...(untilMs === undefined ? [] : [{ sinceMs: untilMs }]),
]

/** Deliveries that lead to the events of a filter, and an index that has only these. */
export interface ReplayDriver {
  readonly index: string
  readonly condition: string
}

/** A condition on a delivery. Whether one that waits is due already is for `planReplay` to say. */
export const isReplayable = (delivery: NonNullable<ReplayFilter['delivery']>, table: string): string =>
  delivery === 'waiting' ? `${table}.state = 'pending' AND ${table}.held_for IS NULL` : `${table}.state = '${delivery}'`

export function driverOf({ delivery, outcome }: ReplayFilter): ReplayDriver | undefined {
  const wanted = delivery === 'waiting' ? outcome : (delivery ?? outcome)
  const { index, condition = '' } = (wanted && OUTCOME_DRIVERS[wanted]) ?? {}
  return index === undefined ? undefined : { index, condition }
}

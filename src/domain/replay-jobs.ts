import type { Replay, Replayed } from './delivery-queue.ts'
import type { EventFilter } from './event-filter.ts'
import type { Page, PageRequest } from './page.ts'

/**
 * A replay job runs many stored events again, in order of their keys.
 *
 * ```
 *   running ── all events up to its bound were replayed or skipped ──→ done
 *      ├────── an operator cancels it ───────────────────────────────→ cancelled
 *      └────── its probe failed ─────────────────────────────────────→ stopped
 * ```
 *
 * One job at a time is worked on, by one process: the oldest that is running. The others wait in the order in which they were created.
 */
export const REPLAY_STATES = ['running', 'done', 'cancelled', 'stopped'] as const
export type ReplayState = (typeof REPLAY_STATES)[number]

/** How many jobs may be running or waiting; beyond it no job is created. */
export const MAX_OPEN_REPLAYS = 100
/** How many events one batch of a job replays: other commits wait for no more than that. */
export const MAX_REPLAY_BATCH = 32

/** Which events a job replays. */
export interface ReplayFilter extends EventFilter {
  /** Events with a delivery to this handler. With `delivery`, with such a delivery in that state. */
  readonly handler?: string
  /** Events with such a delivery; only those deliveries run again. */
  readonly delivery?: NonNullable<Replay['only']>
  /** With `delivery`: those that died of this cause, by its id. */
  readonly cause?: string
}

/** Why a job passed over an event. */
export const SKIP_REASONS = [
  /** Its deliveries are due or running already, or no longer in the state that the job is for. */
  'nothing_to_run',
  /** No handler wants it now, or not the named one. */
  'not_wanted',
  /** It is quarantined or in conflict by what is known now. */
  'not_accepted',
  'source_removed',
  /** Its stored body cannot be read. */
  'body_corrupt',
  /** Retention has deleted it meanwhile, or the store refused it. */
  'gone',
] as const
export type SkipReason = (typeof SKIP_REASONS)[number]
export type Skips = { readonly [Reason in SkipReason]?: number }

/** The one event that a job runs first. `failed`: the other events are not replayed. */
export interface Probe {
  readonly state: 'waiting' | 'running' | 'succeeded' | 'failed'
  readonly uid?: string
  /** The handlers that ran it. */
  readonly handlers?: readonly string[]
  /** How its first attempt ended. */
  readonly outcome?: string
  readonly error?: string
}

export interface NewReplayJob {
  readonly id: string
  /** Who asked for it, in words for operators. */
  readonly by?: string
  readonly filter: ReplayFilter
  /** Only this handler runs. Absent: all that want the event. */
  readonly handler?: string
  /** The most events that are replayed in a second. */
  readonly perSecond?: number
  readonly probe?: Probe
  readonly matched: number
  /** More events match than were counted. */
  readonly matchedMore?: true
  readonly range: KeyRange
}

export interface ReplayJob extends Omit<NewReplayJob, 'range'> {
  readonly state: ReplayState
  /** Why it was stopped. */
  readonly reason?: string
  readonly createdAtMs: number
  /** Absent: it waits for the jobs before it. */
  readonly startedAtMs?: number
  readonly endedAtMs?: number
  /** Events of which at least one delivery was made to run again. */
  readonly replayed: number
  readonly skipped: number
  readonly skips: Skips
}

/** What became of the deliveries of a job, for one handler. A delivery counts in one of the fields. */
export interface ReplayOutcome {
  readonly handler: string
  /** Not tried yet, or its first attempt runs. */
  readonly pending: number
  /** Failed, and waits for another attempt. */
  readonly failing: number
  readonly succeeded: number
  readonly dead: number
  readonly discarded: number
}

/** How fast a job has been so far, in events, and how long it goes on at this speed. Undefined: that is not known. */
export function paceOf(
  job: ReplayJob,
  nowMs: number,
): { readonly perSecond: number | undefined; readonly leftMs: number | undefined } {
  const done = job.replayed + job.skipped
  const tookMs = (job.endedAtMs ?? nowMs) - (job.startedAtMs ?? nowMs)
  if (done === 0 || tookMs <= 0) return { perSecond: undefined, leftMs: undefined }
  const isEstimated = job.state === 'running' && job.matchedMore === undefined
  return {
    perSecond: Math.round((done / tookMs) * 10_000) / 10,
    leftMs: isEstimated ? (Math.max(0, job.matched - done) / done) * tookMs : undefined,
  }
}

export interface ReplayDetail extends ReplayJob {
  readonly outcomes: readonly ReplayOutcome[]
}

/** Keys of events, in the order in which they were stored: those after `after`, up to `last`. */
export interface KeyRange {
  readonly after: number
  readonly last: number
}

export interface MatchedEvents {
  readonly events: readonly { readonly key: number; readonly uid: string }[]
  /** Every match up to this key is in `events`. At the end of the range, its `last`. */
  readonly readTo: number
}

/** A job that this caller may work on until its lease ends. */
export interface LeasedReplay extends ReplayJob {
  readonly key: number
  readonly lease: string
  /** The events that are left. */
  readonly range: KeyRange
  /** By handler: deliveries of the job that are due, running, or wait for their turn. Those that wait for another attempt do not count. */
  readonly outstanding: ReadonlyMap<string, number>
}

/** What one batch does. */
export interface ReplayBatch {
  readonly job: ReplayLease
  /** At most `MAX_REPLAY_BATCH`. */
  readonly replays: readonly Replay[]
  /** Events that were passed over. */
  readonly skips: Skips
  /** Every event up to this key is replayed or skipped. A batch with a probe alone may have the key that was read to before. */
  readonly readTo: number
  /** Absent: stays as it is. Of one that runs, `handlers` become those that its event runs for. */
  readonly probe?: Probe
}

export type CreatedReplay = { readonly outcome: 'created' | 'full' } | { readonly outcome: 'same'; readonly id: string }

/** Names a job and the lease under which its caller works on it. */
export type ReplayLease = Pick<LeasedReplay, 'key' | 'lease'>

/** Jobs that replay many events. */
export interface ReplayJobs {
  /**
   * Creates a job, unless one has its id already, or one with the same filter, handler and probe is running: `same` has the id of that one.
   * `full`: `MAX_OPEN_REPLAYS` are running.
   */
  create(job: NewReplayJob): Promise<CreatedReplay>

  /** Newest first. */
  list(page: PageRequest): Promise<Page<ReplayJob>>

  /** Undefined: there is none. */
  find(id: string): Promise<ReplayDetail | undefined>

  /** Cancels a job that is running; from then on it makes nothing due. Resolves with the job as it is then; undefined if there is none. */
  cancel(id: string): Promise<ReplayJob | undefined>

  /** The range of keys in which all events lie that match now. */
  range(filter: ReplayFilter): Promise<KeyRange>

  /** The next events that match, in order of key, at most `limit`. Reads a bounded number of rows, so it may find none although there are. */
  matches(filter: ReplayFilter, range: KeyRange, limit: number): Promise<MatchedEvents>

  /**
   * Leases the oldest job that is running, or renews the caller's lease. Undefined: there is no job, or another caller works on it. If the
   * caller goes away, another one gets the job after `leaseMs`.
   */
  lease(lease: string, leaseMs: number): Promise<LeasedReplay | undefined>

  /**
   * Replays the events of a batch as `DeliveryQueue.replay` does, and records in the same commit that they are done, so that no event
   * counts twice. Undefined, and nothing has changed: the job is not running any more, or the caller has lost its lease. An event
   * that does not exist any more is skipped.
   */
  run(batch: ReplayBatch): Promise<readonly Replayed[] | undefined>

  /** Ends a job that the caller has leased. False: it is not running any more, or the caller has lost its lease. */
  end(job: ReplayLease, state: 'done' | 'stopped', probe?: Probe): Promise<boolean>

  /** Deletes jobs that ended before this time, at most `limit`. Resolves with how many. */
  prune(endedBeforeMs: number, limit: number): Promise<number>
}

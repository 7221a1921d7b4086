import type { Replay } from './delivery-queue.ts'
import type { EventSummary } from './event.ts'
import type { Page, PageRequest } from './page.ts'
import type { ReplayDetail, ReplayFilter, ReplayJob, SkipReason } from './replay-jobs.ts'

/** How many events a dry run shows, and up to how many matches are counted. */
export const REPLAY_SAMPLE_SIZE = 5
export const MAX_COUNTED_MATCHES = 100_000

/** What an operator asks for. */
export interface ReplayOrder {
  /** A uid that the caller has made: of two orders with one id, only the first creates a job. Absent: it gets a new one. */
  readonly id?: string
  readonly filter: ReplayFilter
  /** Must be true if the filter is empty, so that an operator does not replay everything by mistake. */
  readonly all: boolean
  readonly handler?: string
  readonly perSecond?: number
  readonly probe: boolean
  readonly by?: string
}

/** How long, and how far, a dry run counts. */
export interface CountLimits {
  readonly matches: number
  readonly ms: number
}

/** How many events match. `more`: there are more, which were not counted in time. */
export interface Matched {
  readonly matched: number
  readonly more: boolean
}

/**
 * Replays of many events, for operators. Each rejects with `unknown_source`, `handler_not_found` or `invalid_request` if the order names
 * something that does not exist; then nothing is created.
 */
export interface ReplayService {
  /** Creates nothing. */
  dryRun(order: ReplayOrder, limits?: CountLimits): Promise<Matched & { readonly sample: readonly EventSummary[] }>
  /**
   * Rejects with `conflict` if a job with the same filter is running; the message names it. If a job with the order's `id` exists, that is
   * the one, and nothing is created.
   */
  create(order: ReplayOrder): Promise<Matched & { readonly id: string }>
  list(page: PageRequest): Promise<Page<ReplayJob>>
  /** Rejects with `replay_not_found`, as does `cancel`. */
  show(id: string): Promise<ReplayDetail>
  /** Resolves with the job as it is then: one that has ended already stays as it is. */
  cancel(id: string): Promise<ReplayJob>
}

/** Which deliveries of an event a job makes run again. */
export type ReplayAim = Pick<Replay, 'only' | 'cause'> & { readonly id: string; readonly handler?: string }

/**
 * Reads and routes a stored event by the present handlers and schemas, without changing it. Resolves with the replay that would follow, or
 * with why there is none. Rejects with `unavailable` if it cannot be read now.
 */
export type PlanReplay = (uid: string, aim: ReplayAim) => Promise<Replay | SkipReason>

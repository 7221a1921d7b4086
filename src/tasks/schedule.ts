import { MAX_PROVIDER_PAUSE_MS } from './provider-calls.ts'

/** The longest time between two polls of one task, before jitter. */
const MAX_POLL_DELAY_MS = 600_000
/** A task is polled again after this share of its age: often while it is young, seldom when it is old. */
const AGE_SHARE = 0.1
/** Jitter: adds up to this share of the delay, so that tasks that were submitted together are not always polled together. */
const JITTER_SHARE = 0.5
const MAX_DOUBLINGS = 16

const SUBMIT_BASE_MS = 1_000
const MAX_SUBMIT_DELAY_MS = 60_000

/** The longest time between two polls of one task, even if its provider asks for a longer pause. */
export const longestPollMs = (pollIntervalMs: number): number =>
  Math.ceil(Math.max(MAX_POLL_DELAY_MS, MAX_PROVIDER_PAUSE_MS, pollIntervalMs) * (1 + JITTER_SHARE))

interface PollPace {
  readonly ageMs: number
  /** Failed polls in a row, this one included. */
  readonly failures: number
  readonly pollIntervalMs: number
  /** The pause that the provider asked for. */
  readonly retryAfterMs?: number | undefined
}

/** The time until a task is polled again; at least the poll interval. `random` gives [0, 1). */
export function pollDelayMs(
  { ageMs, failures, pollIntervalMs, retryAfterMs = 0 }: PollPace,
  random: () => number,
): number {
  const byAge = Math.max(pollIntervalMs, ageMs * AGE_SHARE)
  const byFailures = failures === 0 ? 0 : pollIntervalMs * 2 ** Math.min(failures, MAX_DOUBLINGS)
  const delayMs = Math.min(Math.max(MAX_POLL_DELAY_MS, pollIntervalMs), Math.max(byAge, byFailures))
  return Math.ceil(Math.max(delayMs, retryAfterMs) * (1 + JITTER_SHARE * random()))
}

/** The time until a submission that may not have arrived is sent again. */
export function submitDelayMs(failures: number, retryAfterMs: number | undefined, random: () => number): number {
  const ceilingMs = Math.min(MAX_SUBMIT_DELAY_MS, SUBMIT_BASE_MS * 2 ** Math.min(failures, MAX_DOUBLINGS))
  return Math.ceil(Math.max(retryAfterMs ?? 0, ceilingMs * (1 - JITTER_SHARE * random())))
}

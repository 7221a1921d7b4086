/**
 * How long one operation may go on to call its provider, from when it was asked for: its turn, every page and every change
 * included. A call that is open then is not cut off, since its answer may hold a secret that is shown once; so an operation
 * takes no longer than this and one call (`CALL_TIMEOUT_MS`).
 */
export const OPERATION_DEADLINE_MS = 120_000

/** Whether the time of an operation that begins now is over. */
export type IsOver = () => boolean

/** `nowMs`: of a clock that only goes forward. */
export function startDeadline(nowMs: () => number): IsOver {
  const endMs = nowMs() + OPERATION_DEADLINE_MS
  return () => nowMs() >= endMs
}

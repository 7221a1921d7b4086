/**
 * A lease outlives an attempt's deadline, as often as the attempt may run before it counts (with many, with few, alone), by
 * this much: time to end a stuck process, load another and settle.
 */
const RUNS_OF_ATTEMPT = 3
const MARGIN_MS = 60_000
/** Of that, what is left for settling. */
const SETTLING_MS = 10_000

export const leaseMs = (timeoutMs: number): number => RUNS_OF_ATTEMPT * timeoutMs + MARGIN_MS

/** How long after its claim an attempt may begin its last run, so that its lease still covers it. */
export const latestStartMs = (timeoutMs: number): number => leaseMs(timeoutMs) - timeoutMs - SETTLING_MS

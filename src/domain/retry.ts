/** When a failed attempt runs again. */
export interface RetryPolicy {
  /** Attempts in all; the one that reaches it and fails makes the delivery dead. */
  readonly maxAttempts: number
  readonly baseMs: number
  readonly capMs: number
}

/**
 * Exponential back-off with full jitter: uniform in [0, min(cap, base · 2^(attempt − 1))].
 * `attempt` counts from 1; `random` gives [0, 1).
 * Source: "Exponential Backoff and Jitter", AWS Architecture Blog.
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: () => number = Math.random): number {
  const ceilingMs = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempt - 1, 52))
  return Math.floor(random() * (ceilingMs + 1))
}

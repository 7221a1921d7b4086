import type { Settlement, Work } from '../domain/delivery.ts'
import { type RetryPolicy, retryDelayMs } from '../domain/retry.ts'
import type { Ran } from './handler-thread.ts'

/** The longest wait that a handler may ask for. */
const MAX_RETRY_AFTER_MS = 7 * 86_400_000

export interface SettlementRules {
  readonly retry: RetryPolicy
  readonly nowMs: number
  readonly random: () => number
  /** The service is stopping and ended the thread itself: whatever was lost with it is nobody's fault. */
  readonly stopping: boolean
}

/** What an attempt's end means for its delivery. The one place where that is decided. */
export function settlementOf(work: Work, ran: Ran, rules: SettlementRules): Settlement {
  const base = {
    deliveryId: work.deliveryId,
    lease: work.lease,
    outcome: ran.outcome,
    isolate: false,
    dueAtMs: rules.nowMs,
    startedAtMs: ran.startedAtMs,
    durationMs: ran.durationMs,
    ...(ran.outcome !== 'succeeded' && ran.error !== undefined && { error: ran.error }),
  } satisfies Partial<Settlement>

  if (ran.outcome === 'succeeded') return { ...base, verdict: 'succeeded' }
  if (ran.outcome === 'process_lost') {
    if (rules.stopping) return { ...base, verdict: 'released', outcome: 'released', error: 'the service stopped' }
    // Any of those that shared the thread may have ended it: each runs again alone, and only then does it count.
    if (!ran.alone && !work.isolated) return { ...base, verdict: 'released', isolate: true }
  }
  if (ran.outcome === 'rejected' || work.attempt >= rules.retry.maxAttempts) return { ...base, verdict: 'dead' }
  const delayMs =
    ran.outcome === 'retry_after'
      ? Math.min(ran.afterMs ?? 0, MAX_RETRY_AFTER_MS)
      : retryDelayMs(rules.retry, work.attempt, rules.random)
  return { ...base, verdict: 'retry', isolate: ran.outcome === 'process_lost', dueAtMs: rules.nowMs + delayMs }
}

import type { Settlement, Work } from '../domain/delivery.ts'
import { type RetryPolicy, retryDelayMs } from '../domain/retry.ts'
import type { Ran } from './pool/run.ts'

/** The longest wait that a handler may ask for. */
export const MAX_RETRY_AFTER_MS = 7 * 86_400_000

export interface SettlementRules {
  readonly retry: RetryPolicy
  readonly nowMs: number
  readonly random: () => number
  /** The service is stopping and ended the process itself: what was lost with it is no handler's fault. */
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
    ...('detail' in ran && ran.detail !== undefined && { detail: ran.detail }),
    ...('quarantine' in ran && ran.quarantine !== undefined && { quarantine: ran.quarantine }),
    ...('judgement' in ran && ran.judgement !== undefined && { judgement: ran.judgement }),
  } satisfies Partial<Settlement>

  if (ran.outcome === 'succeeded') return { ...base, verdict: 'succeeded' }
  if (ran.outcome === 'released') return { ...base, verdict: 'released', isolate: ran.isolate }
  if (ran.outcome === 'process_lost' && rules.stopping)
    return { ...base, verdict: 'released', outcome: 'released', error: 'the service stopped' }
  if (ran.outcome === 'rejected' || work.attempt >= rules.retry.maxAttempts) return { ...base, verdict: 'dead' }
  const delayMs =
    ran.outcome === 'retry_after' && ran.afterMs !== undefined
      ? Math.min(ran.afterMs, MAX_RETRY_AFTER_MS)
      : retryDelayMs(rules.retry, work.attempt, rules.random)
  return { ...base, verdict: 'retry', isolate: ran.outcome === 'process_lost', dueAtMs: rules.nowMs + delayMs }
}

import { causeOf } from './cause.ts'
import type { AttemptResult, Settlement, Work } from './delivery.ts'

/** When a failed attempt runs again, and after how many attempts the delivery is dead. */
export interface RetryPolicy {
  /** A delivery whose attempt with this number fails is dead. */
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

/** The longest wait that `retryAfter` can ask for; a longer one is shortened. */
export const MAX_RETRY_AFTER_MS = 7 * 86_400_000

interface SettlementRules {
  readonly retry: RetryPolicy
  readonly nowMs: number
  readonly random: () => number
  /** The service is stopping and has killed the process itself, so a lost process is not the handler's fault. */
  readonly stopping: boolean
  /** The directory of handlers, for the causes of failures. Absent: causes are not asked for. */
  readonly directory?: string
}

/**
 * Decides what follows from an attempt's result: the delivery has succeeded, is retried, is dead, or is released. This function
 * alone decides, except for attempts whose service is gone: `claim` finds their leases expired.
 */
export function settlementOf(work: Work, result: AttemptResult, rules: SettlementRules): Settlement {
  const base = {
    deliveryId: work.deliveryId,
    lease: work.lease,
    outcome: result.outcome,
    isolate: false,
    dueAtMs: rules.nowMs,
    startedAtMs: result.startedAtMs,
    durationMs: result.durationMs,
    ...(work.ordered === true && { ordered: true as const }),
    ...(result.outcome !== 'succeeded' && result.error !== undefined && { error: result.error }),
    ...('detail' in result && result.detail !== undefined && { detail: result.detail }),
    ...('answer' in result && result.answer !== undefined && { answer: result.answer }),
    ...('quarantine' in result && result.quarantine !== undefined && { quarantine: result.quarantine }),
    ...('judgement' in result && result.judgement !== undefined && { judgement: result.judgement }),
  } satisfies Partial<Settlement>

  if (result.outcome === 'succeeded') return { ...base, verdict: 'succeeded' }
  if (result.outcome === 'released') return { ...base, verdict: 'released', isolate: result.isolate }
  if (result.outcome === 'process_lost' && rules.stopping)
    return { ...base, verdict: 'released', outcome: 'released', error: 'the service stopped' }
  const failed = { ...base, ...causeIn(work, result, rules) }
  if (result.outcome === 'rejected' || work.attempt >= rules.retry.maxAttempts) return { ...failed, verdict: 'dead' }
  const delayMs =
    result.outcome === 'retry_after' && result.afterMs !== undefined
      ? Math.min(result.afterMs, MAX_RETRY_AFTER_MS)
      : retryDelayMs(rules.retry, work.attempt, rules.random)
  return { ...failed, verdict: 'retry', isolate: result.outcome === 'process_lost', dueAtMs: rules.nowMs + delayMs }
}

function causeIn(
  { handler, event }: Work,
  { outcome, error, ...result }: Extract<AttemptResult, { error?: string }>,
  { directory }: SettlementRules,
): Pick<Settlement, 'cause'> {
  if (directory === undefined) return {}
  const detail = 'detail' in result ? result.detail : undefined
  return { cause: { ...causeOf(error ?? outcome, detail, directory), handler, source: event.source } }
}

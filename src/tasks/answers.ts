import type { Headers } from '../domain/event.ts'
import type { CallResult } from '../domain/outbound.ts'
import type { PollOutcome } from '../domain/telemetry.ts'

/** The longest that a provider's `Retry-After` is believed. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** An answer that is not 2xx, or none: what it means, in a sentence of our own. */
export interface Trouble {
  readonly outcome: Exclude<PollOutcome, 'terminal' | 'pending' | 'late'>
  readonly error: string
  /** The provider asks to be left alone for so long. */
  readonly retryAfterMs?: number
}

export function troubleOf(
  result: Exclude<CallResult, { ok: true }> | { status: number; headers: Headers },
  nowMs: number,
): Trouble {
  if (!('status' in result)) return { outcome: result.failure, error: result.message }
  const { status, headers } = result
  const retryAfterMs = retryAfterOf(headers, nowMs)
  return {
    outcome: outcomeOf(status),
    error: `the provider answered ${status}`,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

function outcomeOf(status: number): Trouble['outcome'] {
  if (status === 404 || status === 410) return 'not_found'
  if (status === 429) return 'rate_limited'
  if (status === 401 || status === 403) return 'unauthorized'
  return status >= 500 ? 'server_error' : 'invalid'
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterOf({ 'retry-after': value }: Headers, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms))
}

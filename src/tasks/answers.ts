import type { Headers } from '../domain/event.ts'
import type { CallFailure, CallResult } from '../domain/outbound.ts'
import type { PollOutcome } from '../domain/telemetry.ts'

/** The longest that a provider's `Retry-After` is believed. */
export const MAX_RETRY_AFTER_MS = 3_600_000

/** An answer that is not 2xx, or none: what it means, in a sentence of our own. */
export interface Trouble {
  readonly outcome: Exclude<PollOutcome, 'terminal' | 'truncated' | 'pending' | 'late'>
  readonly error: string
  /** The provider itself is in trouble, whichever task it was asked for. */
  readonly isProviders: boolean
  /** The provider asks to be left alone for so long. */
  readonly retryAfterMs?: number
}

export function troubleOf(
  result: Exclude<CallResult, { ok: true }> | { status: number; headers: Headers },
  nowMs: number,
): Trouble {
  if (!('status' in result))
    return { outcome: result.failure, error: result.message, isProviders: !OF_ONE_TASK.has(result.failure) }
  const { status, headers } = result
  const retryAfterMs = retryAfterOf(headers, nowMs)
  return {
    outcome: outcomeOf(status),
    error: `the provider answered ${status}`,
    // What is refused may be wrong with this one task; an answer that leads elsewhere is nobody's.
    isProviders: status < 400 || status >= 500 || OF_ALL_TASKS.has(status),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

/** The key is refused, by whichever proxy; it is too slow, or too busy. */
const OF_ALL_TASKS: ReadonlySet<number> = new Set([401, 407, 408, 425, 429])

/** A path that was not asked for, and one answer that is too long. */
const OF_ONE_TASK: ReadonlySet<CallFailure> = new Set(['forbidden_address', 'too_large'])

function outcomeOf(status: number): Trouble['outcome'] {
  if (status === 404 || status === 410) return 'not_found'
  if (status === 429) return 'rate_limited'
  if (status === 401 || status === 403) return 'unauthorized'
  return status >= 500 ? 'server_error' : 'invalid'
}

/**
 * RFC 9110 §10.2.3: seconds, however many digits they have, or a date; some write a fraction. What is neither says nothing: JavaScript
 * would take ` 40` for the year 2040.
 */
function retryAfterOf({ 'retry-after': value }: Headers, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  const ms = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1_000 : timeOf(text) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, Math.ceil(ms)))
}

/** Of a date of HTTP, in any of its three forms, of which one does not say that it is in GMT; else NaN. */
const timeOf = (text: string): number =>
  /^(?:mon|tue|wed|thu|fri|sat|sun)/i.test(text) ? Date.parse(/gmt$/i.test(text) ? text : `${text} GMT`) : Number.NaN

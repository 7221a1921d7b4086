import type { ClaimRequest, HandlerLimits } from '../domain/delivery-queue.ts'
import type { LeaseOffer } from '../domain/event.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { type AttemptPolicy, attemptPolicyOf } from '../domain/handler-policy.ts'
import { leaseMs } from './pool/attempts.ts'

/** Which deadline, retries and leases the attempts of each handler have. A handler without a policy of its own costs nothing. */
export class AttemptPolicies {
  /** Of the handlers without a policy of their own. */
  readonly service: AttemptPolicy
  readonly leaseMs: number
  /** What a claim says of these handlers. */
  readonly ofClaims: Pick<ClaimRequest, 'leaseMs' | 'maxAttempts' | 'ownLimits' | 'ordered'>
  readonly #own: ReadonlyMap<string, AttemptPolicy>

  constructor(handlers: readonly HandlerDefinition[], service: AttemptPolicy) {
    const own = handlers.filter(({ timeoutMs, retry }) => timeoutMs !== undefined || retry !== undefined)
    this.service = service
    this.leaseMs = leaseMs(service.timeoutMs)
    this.#own = new Map(own.map((handler) => [handler.name, attemptPolicyOf(handler, service)]))
    const ownLimits = own.filter(hasLimits).map(limitsOf)
    this.ofClaims = {
      leaseMs: this.leaseMs,
      maxAttempts: service.retry.maxAttempts,
      ...(ownLimits.length > 0 && { ownLimits }),
      ...(handlers.some(({ orderBy }) => orderBy !== undefined) && { ordered: true }),
    }
  }

  of = (handler: string): AttemptPolicy => this.#own.get(handler) ?? this.service

  /** The leases of an offer for these handlers. */
  leaseOf(handlers: readonly string[]): LeaseOffer['leaseMs'] {
    if (!handlers.some((handler) => this.#own.has(handler))) return this.leaseMs
    return handlers.map((handler) => leaseMs(this.of(handler).timeoutMs))
  }
}

const hasLimits = ({ timeoutMs, retry }: HandlerDefinition): boolean =>
  timeoutMs !== undefined || retry?.maxAttempts !== undefined

const limitsOf = ({ name: handler, timeoutMs, retry: { maxAttempts } = {} }: HandlerDefinition): HandlerLimits => ({
  handler,
  ...(timeoutMs !== undefined && { leaseMs: leaseMs(timeoutMs) }),
  ...(maxAttempts !== undefined && { maxAttempts }),
})

/** The longest lease and the longest wait for a retry that any of these handlers may have, or a handler without a policy of its own. */
export function longestWaits(
  handlers: readonly HandlerDefinition[],
  service: AttemptPolicy,
): { readonly leaseMs: number; readonly retryMs: number } {
  const policies = [service, ...handlers.map((handler) => attemptPolicyOf(handler, service))]
  return {
    leaseMs: Math.max(...policies.map(({ timeoutMs }) => leaseMs(timeoutMs))),
    retryMs: Math.max(...policies.map(({ retry }) => retry.capMs)),
  }
}

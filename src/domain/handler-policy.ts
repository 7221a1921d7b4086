import { MAX_RATE_LIMIT, MAX_RETRY_ATTEMPTS, MAX_TIMER_MS } from './limits.ts'
import { nearestName } from './nearest-name.ts'
import { orderByFault } from './order-key.ts'
import type { RetryPolicy } from './retry-or-dead.ts'

/** At most `limit` attempts start in any period of `perMs`. */
export interface RateLimit {
  readonly limit: number
  readonly perMs: number
}

/** How the attempts of one handler run. What is absent is as the service's settings say. */
export interface HandlerPolicy {
  /** How many of its attempts may run at once, over all handler processes of this service; absent: as many as there is capacity for. */
  readonly concurrency?: number
  /** The deadline of each attempt, in place of `HANDLER_TIMEOUT_MS`; it may be shorter or longer. */
  readonly timeoutMs?: number
  /** In place of `RETRY_MAX_ATTEMPTS`, `RETRY_BASE_MS` and `RETRY_CAP_MS`; what is not given is as they say. */
  readonly retry?: Partial<RetryPolicy>
  /**
   * At most `limit` attempts of the handler start in any period of `perMs`, retries included, over the whole service. Other
   * deliveries wait in the store.
   */
  readonly rate?: RateLimit
  /**
   * A path in the event, such as `data.object.id`. Events with the same value there run one after another, in the order in which
   * they were stored; an event that has no text, number or boolean there runs in no order.
   */
  readonly orderBy?: string
}

/** The deadline and the retries of attempts, complete. */
export interface AttemptPolicy {
  readonly timeoutMs: number
  readonly retry: RetryPolicy
}

/** The policy of a handler's attempts: its own, completed by the service's settings. */
export const attemptPolicyOf = ({ timeoutMs, retry }: HandlerPolicy, service: AttemptPolicy): AttemptPolicy => ({
  timeoutMs: timeoutMs ?? service.timeoutMs,
  retry: { ...service.retry, ...retry },
})

/**
 * A warning for each handler of whose retries one time is its own and the other the service's, and whose first wait would be longer than
 * the longest: the longest counts. Nothing is wrong with the module alone, so that is no fault.
 */
export function retryWarnings(
  handlers: readonly (HandlerPolicy & { readonly name: string })[],
  service: AttemptPolicy,
): readonly string[] {
  return handlers.flatMap((handler) => {
    const { baseMs, capMs } = attemptPolicyOf(handler, service).retry
    if (handler.retry === undefined || baseMs <= capMs) return []
    const [base, cap] = handler.retry.capMs === undefined ? ['baseMs', 'RETRY_CAP_MS'] : ['RETRY_BASE_MS', 'capMs']
    return [
      `handler ${handler.name}: its retries wait ${capMs} ms at most (${cap}), which is less than ${base} (${baseMs} ms)`,
    ]
  })
}

type Bounds = readonly [min: number, max: number]

const RETRY: Readonly<Record<keyof RetryPolicy, Bounds>> = {
  maxAttempts: [1, MAX_RETRY_ATTEMPTS],
  baseMs: [0, MAX_TIMER_MS],
  capMs: [0, MAX_TIMER_MS],
}
const RATE: Readonly<Record<keyof RateLimit, Bounds>> = { limit: [1, MAX_RATE_LIMIT], perMs: [1, MAX_TIMER_MS] }

/** Reads the policy from a handler's options, which may be anything. Calls `onFault` for each wrong value, with the option's name first. */
export function readPolicy(
  options: Readonly<Record<string, unknown>>,
  onFault: (fault: string) => void,
): HandlerPolicy {
  const { concurrency, timeoutMs, orderBy } = options
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && Number(concurrency) > 0))
    onFault(`concurrency is ${shown(concurrency)}, not a whole number above 0`)
  if (timeoutMs !== undefined) checkNumber('timeoutMs', timeoutMs, [1, MAX_TIMER_MS], onFault)
  const retry = readGroup<RetryPolicy>('retry', options.retry, RETRY, onFault)
  const rate = readGroup<RateLimit>('rate', options.rate, RATE, onFault)
  const { baseMs, capMs } = retry ?? {}
  if (baseMs !== undefined && capMs !== undefined && baseMs > capMs)
    onFault(`retry.baseMs is ${baseMs}, more than retry.capMs (${capMs})`)
  const { limit, perMs } = rate ?? {}
  if (rate !== undefined && (limit === undefined || perMs === undefined)) onFault('rate needs both limit and perMs')
  const orderFault = orderBy === undefined ? undefined : orderByFault(orderBy)
  if (orderFault !== undefined) onFault(orderFault)
  return {
    ...(concurrency !== undefined && { concurrency: Number(concurrency) }),
    ...(timeoutMs !== undefined && { timeoutMs: Number(timeoutMs) }),
    ...(retry !== undefined && Object.keys(retry).length > 0 && { retry }),
    ...(limit !== undefined && perMs !== undefined && { rate: { limit, perMs } }),
    ...(typeof orderBy === 'string' && { orderBy }),
  }
}

/** Reads an option that is an object of whole numbers; those that are undefined are left out. */
function readGroup<Group extends { readonly [Key in keyof Group]: number }>(
  option: string,
  value: unknown,
  bounds: Readonly<Record<keyof Group & string, Bounds>>,
  onFault: (fault: string) => void,
): Partial<Group> | undefined {
  if (value === undefined) return undefined
  const names = Object.keys(bounds)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    onFault(`${option} is ${shown(value)}, not an object with ${names.join(', ')}`)
    return undefined
  }
  const given = Object.entries(value).filter(([, part]) => part !== undefined)
  for (const [name, part] of given) {
    if (!names.includes(name)) onFault(unknownText(`${option}.${name}`, nearestName(name, names)))
    else checkNumber(`${option}.${name}`, part, bounds[name as keyof Group & string], onFault)
  }
  return Object.fromEntries(given) as Partial<Group>
}

function checkNumber(name: string, value: unknown, [min, max]: Bounds, onFault: (fault: string) => void): void {
  if (!Number.isInteger(value) || Number(value) < min || Number(value) > max)
    onFault(`${name} is ${shown(value)}, not a whole number from ${min} to ${max}`)
}

/** The fault of an option that does not exist, with the name that was probably meant. */
export const unknownText = (name: string, nearest: string | undefined): string =>
  `unknown option ${name}${nearest === undefined ? '' : ` (is ${nearest} meant?)`}`

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN_LENGTH))
  if (Array.isArray(value)) return 'a list'
  return value === null || ['number', 'boolean', 'bigint'].includes(typeof value) ? String(value) : `a ${typeof value}`
}

/** Characters of a wrong text that a fault shows. */
const MAX_SHOWN_LENGTH = 64

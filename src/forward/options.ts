import { unknownText } from '../domain/handler-policy.ts'
import { MAX_TIMER_MS } from '../domain/limits.ts'
import { nearestName } from '../domain/nearest-name.ts'
import { type AddressFilter, filterBy, isRefused } from '../outbound/address-filter.ts'

/** RFC 9110 §5.1, §5.5. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** What `forward` takes. */
export interface ForwardOptions {
  /** Where the event is posted: http or https, without credentials. */
  readonly url: string
  /**
   * Signs each request by Standard Webhooks. Base64 after `whsec_`, or any text. A list, of at most eight, signs with each: a receiver
   * may know the new one or the old one. Undefined is refused, because a variable that is not set would send unsigned requests.
   */
  readonly secret?: string | readonly string[] | undefined
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>
  /** How long a request may take in all. Default: 25,000, which is shorter than the default deadline of a handler. */
  readonly timeoutMs?: number
  /** The host may be on this machine or on a private network. */
  readonly allowPrivate?: boolean
  /** Statuses after which the delivery is dead and not retried, beside 410. */
  readonly finalStatuses?: readonly number[]
}

/** Checked options. */
export interface Target {
  readonly url: URL
  readonly filter: AddressFilter
  readonly secrets: readonly string[]
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly finalStatuses: ReadonlySet<number>
}

const TIMEOUT_MS = 25_000
const MAX_SECRETS = 8
/** Gone: the receiver asks for no more requests. */
const GONE = 410
const NAMES = ['url', 'secret', 'headers', 'timeoutMs', 'allowPrivate', 'finalStatuses']
/** Headers that `forward`, or HTTP itself, sets. */
const OWN_HEADERS =
  /^(?:webhook-(?:id|timestamp|signature)|holdfast-.*|host|connection|content-length|content-encoding|transfer-encoding|expect|upgrade|keep-alive|te|trailer)$/

/** Throws `TypeError` with everything that is wrong with the options, and without their values, which may be secret. */
export function readTarget(options: ForwardOptions): Target {
  const faults: string[] = []
  const given: Partial<Record<keyof ForwardOptions, unknown>> =
    typeof options === 'object' && options !== null ? options : {}
  for (const name of Object.keys(given))
    if (!NAMES.includes(name)) faults.push(unknownText(name, nearestName(name, NAMES)))
  const { allowPrivate = false, timeoutMs = TIMEOUT_MS } = given
  if (typeof allowPrivate !== 'boolean') faults.push('allowPrivate is neither true nor false')
  if (!isWhole(timeoutMs, 1, MAX_TIMER_MS)) faults.push(`timeoutMs is not a whole number from 1 to ${MAX_TIMER_MS}`)
  const url = typeof given.url === 'string' ? URL.parse(given.url) : null
  const filter = filterBy(url?.hostname ?? '', allowPrivate === true)
  faults.push(...urlFaults(url, filter, allowPrivate === true))
  const secrets = 'secret' in given ? secretsIn(given.secret, faults) : []
  const headers = headersIn(given.headers ?? {}, faults)
  const final: unknown = given.finalStatuses ?? []
  const statuses = Array.isArray(final) ? final : [Number.NaN]
  if (!statuses.every((status) => isWhole(status, 300, 599)))
    faults.push('finalStatuses is not a list of statuses from 300 to 599')
  if (url === null || faults.length > 0) throw new TypeError(`forward: ${faults.join('; ')}`)
  return { url, filter, secrets, headers, timeoutMs: Number(timeoutMs), finalStatuses: new Set([GONE, ...statuses]) }
}

const isWhole = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= max

function urlFaults(url: URL | null, filter: AddressFilter, allowsPrivate: boolean): readonly string[] {
  if (url === null || !/^https?:$/.test(url.protocol)) return ['url is not an http(s) URL']
  const faults: string[] = []
  if (url.username !== '' || url.password !== '') faults.push('url has credentials: send them by headers')
  if (!isRefused(url.hostname, filter)) return faults
  const advice = allowsPrivate ? '' : ': allowPrivate: true allows a private network'
  return [...faults, `url leads to ${url.hostname}, which is not on the public internet${advice}`]
}

/** A secret that is there but undefined or empty is most likely a variable that is not set: the requests would not be signed. */
function secretsIn(given: unknown, faults: string[]): readonly string[] {
  const secrets: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (secrets.length === 0 || secrets.length > MAX_SECRETS)
    faults.push(`secret is a list of 1 to ${MAX_SECRETS} secrets`)
  if (!secrets.every((secret) => typeof secret === 'string' && secret !== ''))
    faults.push('secret is undefined, empty or no text: leave it out to send unsigned requests')
  else if (!secrets.every((secret) => keysOf(String(secret)).length > 0))
    faults.push('secret begins with whsec_, but is not base64 after that')
  return secrets.map(String)
}

/** A form in which a secret is a key, by the names of `HmacScheme.key`. */
type KeyForm = 'utf8' | 'whsec'

/**
 * The keys that a secret stands for. Text without `whsec_` is the key itself. But libraries of Standard Webhooks decode it as base64
 * unless told otherwise, so text that is base64 also stands for that key: the request then has a signature for each.
 */
export function keysOf(secret: string): readonly KeyForm[] {
  const isPrefixed = secret.startsWith('whsec_')
  const text = isPrefixed ? secret.slice('whsec_'.length) : secret
  const isBase64 = text !== '' && Buffer.from(text, 'base64').toString('base64') === text
  return [...(isPrefixed ? [] : (['utf8'] as const)), ...(isBase64 ? (['whsec'] as const) : [])]
}

function headersIn(given: unknown, faults: string[]): Readonly<Record<string, string>> {
  // A Map or Headers has no members of its own, and would send nothing.
  if (typeof given !== 'object' || given === null || ![Object.prototype, null].includes(Object.getPrototypeOf(given))) {
    faults.push('headers is no plain object of texts')
    return {}
  }
  const headers = Object.entries(given).map(([name, value]): [string, unknown] => [name.toLowerCase(), value])
  for (const [at, [name, value]] of headers.entries()) {
    if (headers.findIndex(([other]) => other === name) < at) faults.push(`headers has ${name} twice`)
    if (OWN_HEADERS.test(name)) faults.push(`headers has ${name}, which is not for you to set`)
    if (!HEADER_NAME.test(name) || typeof value !== 'string' || !HEADER_VALUE.test(value))
      faults.push(`headers cannot be sent with ${JSON.stringify(name.slice(0, MAX_SHOWN_LENGTH))} as it is`)
  }
  return Object.fromEntries(headers.map(([name, value]) => [name, String(value)]))
}

/** Characters of a wrong name that a fault shows. */
const MAX_SHOWN_LENGTH = 64

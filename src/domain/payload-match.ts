import { HoldfastError } from './errors.ts'
import { eachScalarIn } from './json-scan.ts'
import { MAX_NAME_LENGTH } from './limits.ts'

/** A condition on the payload of an event: one of the values at the path reads like this. */
export interface PayloadMatch {
  /** Dotted, as `data.object.customer`, in the payload as the provider sent it. */
  readonly path: string
  readonly value: string
}

/** Names of one path, and conditions of one filter. */
const MAX_PATH_NAMES = 16
export const MAX_MATCHES = 8
/** Characters of `<path>:<value>`. */
export const MAX_MATCH_LENGTH = 2 * MAX_NAME_LENGTH + 1

/** Reads `<path>:<value>`. Throws `invalid_request`. */
export function parseMatch(text: string): PayloadMatch {
  const colon = text.indexOf(':')
  if (colon < 0) throw invalid('must be <path>:<value>, as data.object.customer:cus_1')
  const path = plainPath(text.slice(0, colon))
  const value = text.slice(colon + 1)
  const fault = faultOfPath(path)
  if (fault !== undefined) throw invalid(fault)
  if (value.length > MAX_NAME_LENGTH) throw invalid(`must not have a value longer than ${MAX_NAME_LENGTH}`)
  return { path, value }
}

/** A path without brackets: `items[].sku`, as drift writes it, is `items.sku`, and `items[0].sku` is `items.0.sku`. */
export function plainPath(path: string): string {
  const dotted = path.replaceAll(/\[(\d*)\]/g, (_, index: string) => (index === '' ? '' : `.${index}`))
  return path.startsWith('[') ? dotted.replace(/^\./, '') : dotted
}

/** Why this is no path into a payload; undefined if it is one. */
export function faultOfPath(path: string): string | undefined {
  const names = path.split('.')
  if (path.includes(':')) return 'must have a path without a colon'
  if (names.some((name) => name === '')) return 'must have a path of names with dots between them'
  if (path.length > MAX_NAME_LENGTH) return `must not have a path longer than ${MAX_NAME_LENGTH}`
  return names.length > MAX_PATH_NAMES ? `must not have a path of more than ${MAX_PATH_NAMES} names` : undefined
}

const invalid = (fault: string): HoldfastError => new HoldfastError('invalid_request', `match ${fault}`)

const FORM = /^\s*application\/x-www-form-urlencoded\b/i
const JSON_STARTS = new Set([0x7b, 0x5b, 0x22])

/** Whether a body is a form: its fields are then read by name, `a[b]` as `a.b`, and JSON in a field like the rest of a payload. */
export const isForm = (body: Uint8Array, contentType: string | undefined): boolean =>
  contentType !== undefined && FORM.test(contentType) && !JSON_STARTS.has(body[0] ?? 0)

/** Calls `each` with the values at a dotted path of a payload, as `eachScalarIn`, until it gives false. */
export function eachValueAt(
  body: Uint8Array,
  contentType: string | undefined,
  path: string,
  each: (value: string) => boolean,
): void {
  if (!isForm(body, contentType)) return eachScalarIn(body, path.split('.'), each)
  const sought = fieldPath(path)
  for (const [field, value] of new URLSearchParams(Buffer.from(body).toString())) {
    const name = fieldPath(field)
    let goesOn = true
    if (name === sought) goesOn = each(value)
    else if (sought.startsWith(`${name}.`) && /^\s*[[{]/.test(value)) {
      eachScalarIn(Buffer.from(value), sought.slice(name.length + 1).split('.'), (found) => {
        goesOn = each(found)
        return goesOn
      })
    }
    if (!goesOn) return
  }
}

const fieldPath = (field: string): string => field.replaceAll('[]', '').replaceAll(/\[([^\]]*)\]/g, '.$1')

/** Tests bodies for one condition. */
export function createMatchTest({ path, value }: PayloadMatch) {
  const part = longestPart(value)
  return (body: Uint8Array, contentType: string | undefined): boolean => {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    // A value is written as it is, unless its characters are escaped.
    if (!isForm(body, contentType) && !bytes.includes(part, 0, 'latin1') && !bytes.includes('\\u', 0, 'latin1'))
      return false
    let matches = false
    eachValueAt(body, contentType, path, (found) => {
      matches = found === value
      return !matches
    })
    return matches
  }
}

/** The longest part of a text that JSON writes as it is, or with `\u` escapes, and that no encoding changes. */
export const longestPart = (text: string): string =>
  (text.match(/[!#-.0-9;-[\]-~]+/g) ?? []).reduce(
    (longest, part) => (part.length > longest.length ? part : longest),
    '',
  )

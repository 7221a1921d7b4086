import { MAX_JSON_DEPTH } from './limits.ts'

export type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string }

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Parses bytes as JSON. Ignores a leading byte-order mark (RFC 8259 §8.1 allows that). Checks the depth before parsing: half a
 * million brackets in 1 MiB would otherwise block the thread for a tenth of a second.
 */
export function parseJson(bytes: Uint8Array, maxDepth = MAX_JSON_DEPTH): Parsed {
  if (bytes.length === 0) return { ok: false, reason: 'the body is empty' }
  if (isDeeperThan(bytes, maxDepth)) return { ok: false, reason: `the body nests deeper than ${maxDepth}` }
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return { ok: false, reason: 'the body is not valid UTF-8' }
  }
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    return { ok: false, reason: 'the body is not valid JSON' }
  }
}

/** The bytes that JSON is built of (RFC 8259, 2), in UTF-8. */
export const QUOTE = 0x22
/** The four bytes of white space between the tokens of JSON. */
export const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
export const BACKSLASH = 0x5c
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d
export const OPEN_BRACKET = 0x5b
export const CLOSE_BRACKET = 0x5d

/** Whether arrays and objects nest deeper than `limit`. */
export function isDeeperThan(bytes: Uint8Array, limit: number): boolean {
  // Most bodies have too few brackets to nest so deep, and counting brackets is much faster than scanning strings.
  return hasMoreThan(bytes, OPEN_BRACE, OPEN_BRACKET, limit) && nestsDeeperThan(bytes, limit)
}

/** Whether two bytes together occur more often than `limit`. */
function hasMoreThan(bytes: Uint8Array, one: number, other: number, limit: number): boolean {
  let count = 0
  for (const byte of [one, other]) {
    for (let at = bytes.indexOf(byte); at >= 0; at = bytes.indexOf(byte, at + 1)) if (++count > limit) return true
  }
  return false
}

function nestsDeeperThan(bytes: Uint8Array, limit: number): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > limit) return true
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return false
}

/** Gives the value at a dotted path of own properties; undefined if there is none. The empty path is the value itself. */
export function valueAt(value: unknown, path: string): unknown {
  if (path === '') return value
  if (!path.includes('.')) return own(value, path)
  let here = value
  for (const key of path.split('.')) here = own(here, key)
  return here
}

const own = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined

import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  isSpace,
  OPEN_BRACE,
  OPEN_BRACKET,
  type Parsed,
  parseJson,
  QUOTE,
} from './json.ts'
import { MAX_JSON_DEPTH } from './limits.ts'

const BROKEN = -1
const broken: Parsed = { ok: false, reason: 'the body is not valid JSON' }
const nothing: Parsed = { ok: true, value: undefined }

/**
 * Gives the string, number or literal at a dotted path of JSON, as `valueAt` would find it after the whole body was parsed.
 * Undefined: there is no value, or it is an object or array. For fields that are read before a body is verified: it builds no other
 * values, so each MiB takes a few milliseconds, while parsing it may take a tenth of a second. Does not notice if the rest of the
 * body is not JSON or nests too deep.
 */
export function scalarIn(bytes: Uint8Array, path: string): Parsed {
  let at = afterSpace(bytes, hasByteOrderMark(bytes) ? 3 : 0)
  if (at === bytes.length) return broken
  for (const name of path === '' ? [] : path.split('.')) {
    const next = bytes[at] === OPEN_BRACE ? memberIn(bytes, at, name) : elementIn(bytes, at, name)
    if (next === undefined) return nothing
    if (next === BROKEN) return broken
    at = next
  }
  if (bytes[at] === OPEN_BRACE || bytes[at] === OPEN_BRACKET) return nothing
  const end = afterValue(bytes, at)
  const found = end === BROKEN ? broken : parseJson(bytes.subarray(at, end))
  return found.ok ? found : broken
}

/**
 * Where the value of an object's last member with this name begins and ends. Undefined: there is no such member, or no object. Like
 * `scalarIn`, it does not check the rest of the body.
 */
export function memberOf(bytes: Uint8Array, name: string): { readonly from: number; readonly end: number } | undefined {
  const open = afterSpace(bytes, hasByteOrderMark(bytes) ? 3 : 0)
  const from = bytes[open] === OPEN_BRACE ? memberIn(bytes, open, name) : undefined
  const end = from === undefined || from === BROKEN ? BROKEN : afterValue(bytes, from)
  return from === undefined || end === BROKEN ? undefined : { from, end }
}

/**
 * Calls `each` with the text of every scalar at a path: a string as it reads, anything else as it is written, so that no digit of a
 * number is lost. A name leads into the member of an object, or the element of an array with this index; any other array stands for
 * all its elements, also at the end of the path. Stops when `each` gives false. Like `scalarIn`, it does not check the rest of the body.
 */
export function eachScalarIn(bytes: Uint8Array, path: readonly string[], each: (text: string) => boolean): void {
  const visit = (at: number, depth: number, arrays: number): boolean => {
    const name = path[depth]
    if (bytes[at] === OPEN_BRACKET) {
      const element = name === undefined ? undefined : elementIn(bytes, at, name)
      if (element !== undefined) return element === BROKEN || visit(element, depth + 1, arrays)
      return arrays === MAX_JSON_DEPTH || visitElements(at, (from) => visit(from, depth, arrays + 1))
    }
    if (name !== undefined) {
      const member = bytes[at] === OPEN_BRACE ? memberIn(bytes, at, name) : undefined
      return member === undefined || member === BROKEN || visit(member, depth + 1, arrays)
    }
    const text = bytes[at] === OPEN_BRACE ? undefined : scalarTextAt(bytes, at)
    return text === undefined || each(text)
  }
  const visitElements = (open: number, element: (from: number) => boolean): boolean => {
    let at = afterSpace(bytes, open + 1)
    while (at < bytes.length && bytes[at] !== CLOSE_BRACKET) {
      if (!element(at)) return false
      at = afterItem(bytes, at)
      if (at === BROKEN || bytes[at] !== COMMA) return true
      at = afterSpace(bytes, at + 1)
    }
    return true
  }
  visit(afterSpace(bytes, hasByteOrderMark(bytes) ? 3 : 0), 0, 0)
}

function scalarTextAt(bytes: Uint8Array, from: number): string | undefined {
  const end = afterValue(bytes, from)
  if (end === BROKEN) return undefined
  const written = bytes.subarray(from, end)
  const parsed = parseJson(written)
  if (!parsed.ok) return undefined
  return typeof parsed.value === 'string' ? parsed.value : String.fromCharCode(...written)
}

const hasByteOrderMark = (bytes: Uint8Array): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf

/** Where the value of an object's last member with this name begins; undefined: there is no such member. */
function memberIn(bytes: Uint8Array, open: number, name: string): number | undefined {
  let found: number | undefined
  let at = afterSpace(bytes, open + 1)
  if (bytes[at] === CLOSE_BRACE) return undefined
  for (;;) {
    if (bytes[at] !== QUOTE) return BROKEN
    const nameEnd = afterString(bytes, at)
    const colon = afterSpace(bytes, nameEnd)
    if (nameEnd === BROKEN || bytes[colon] !== COLON) return BROKEN
    const value = afterSpace(bytes, colon + 1)
    if (isNamed(bytes, at + 1, nameEnd - 1, name)) found = value
    at = afterItem(bytes, value)
    if (at === BROKEN) return BROKEN
    if (bytes[at] === CLOSE_BRACE) return found
    if (bytes[at] !== COMMA) return BROKEN
    at = afterSpace(bytes, at + 1)
  }
}

/** Where an array's element with this index begins; undefined: there is no such element, or no array. */
function elementIn(bytes: Uint8Array, open: number, name: string): number | undefined {
  if (bytes[open] !== OPEN_BRACKET || !/^(?:0|[1-9]\d{0,8})$/.test(name)) return undefined
  let at = afterSpace(bytes, open + 1)
  if (bytes[at] === CLOSE_BRACKET) return undefined
  for (let index = Number(name); index > 0; index--) {
    at = afterItem(bytes, at)
    if (at === BROKEN) return BROKEN
    if (bytes[at] === CLOSE_BRACKET) return undefined
    if (bytes[at] !== COMMA) return BROKEN
    at = afterSpace(bytes, at + 1)
  }
  return at
}

/** The position of the comma or bracket after a member's or element's value. */
function afterItem(bytes: Uint8Array, at: number): number {
  const end = afterValue(bytes, at)
  return end === BROKEN ? BROKEN : afterSpace(bytes, end)
}

function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from
  while (isSpace(bytes[at])) at++
  return at
}

function afterValue(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === QUOTE) return afterString(bytes, at)
  if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return afterContainer(bytes, at)
  let end = at
  while (end < bytes.length && !isDelimiter(bytes[end])) end++
  return end === at ? BROKEN : end
}

const isDelimiter = (byte: number | undefined): boolean =>
  byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte === COLON || isSpace(byte)

function afterString(bytes: Uint8Array, open: number): number {
  for (let at = open + 1; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at++
  }
  return BROKEN
}

function afterContainer(bytes: Uint8Array, open: number): number {
  let depth = 0
  for (let at = open; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      at = afterString(bytes, at) - 1
      if (at < open) return BROKEN
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1
  }
  return BROKEN
}

/** Whether the string between two quotes is this name, escaped or not. */
function isNamed(bytes: Uint8Array, from: number, end: number, name: string): boolean {
  let at = from
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index)
    const byte = bytes[at] ?? 0
    if (at >= end || (byte >= 0x80 && code < 0x80)) return false
    if (byte >= 0x80) return isWritten(bytes.subarray(from - 1, end + 1), name)
    if ((byte === BACKSLASH ? escapedAt(bytes, at) : byte) !== code) return false
    at += byte !== BACKSLASH ? 1 : bytes[at + 1] === LETTER_U ? 6 : 2
  }
  return at === end
}

/** The UTF-16 code unit that an escape stands for. */
function escapedAt(bytes: Uint8Array, at: number): number {
  const letter = bytes[at + 1] ?? 0
  if (letter !== LETTER_U) return CONTROLS.get(letter) ?? letter
  let code = 0
  for (let digit = at + 2; digit < at + 6; digit++) {
    const byte = bytes[digit] ?? 0
    code = code * 16 + (byte & 0xf) + (byte > 0x39 ? 9 : 0)
  }
  return code
}

const LETTER_U = 0x75
const CONTROLS: ReadonlyMap<number, number> = new Map(
  ['b\b', 'f\f', 'n\n', 'r\r', 't\t'].map((pair) => [pair.charCodeAt(0), pair.charCodeAt(1)]),
)

/** Compares a name with characters outside ASCII. */
function isWritten(quoted: Uint8Array, name: string): boolean {
  const parsed = parseJson(quoted)
  return parsed.ok && parsed.value === name
}

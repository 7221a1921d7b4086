import { isForm, longestPart } from './payload-match.ts'

/** The signs that fold to a letter of ASCII though they are none: U+212A (K) and U+017F (s), as bytes in lower case (`lower`). */
const FOREIGN_LETTERS: readonly (readonly [letter: string, bytes: string])[] = [
  ['k', '\u00e2\u0084\u00aa'],
  ['s', '\u00e5\u00bf'],
]

/** A test for a text in a body or in headers (a JSON object), in whatever case its letters are (Unicode simple case folding). */
export type TextTest = (body: Uint8Array, headersJson: string) => boolean

/**
 * Finds the text as it is written, and as JSON or a form reads: escapes do not hide it. Most bodies are passed over by a search for the
 * longest part of the text in ASCII, which is fast; the others are read exactly.
 */
export function createTextTest(sought: string): TextTest {
  const text = sought.normalize('NFC')
  const reads = createReading(text)
  const part = longestPart(text).toLowerCase()
  const foreign = FOREIGN_LETTERS.filter(([letter]) => part.includes(letter)).map(([, bytes]) => bytes)
  const exactly = (body: Uint8Array, headersJson: string): boolean => isIn(reads, body, headersJson)
  if (part === '') return exactly

  return (body, headersJson) => {
    const lower = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1').toLowerCase()
    const isPossible =
      lower.includes(part) ||
      lower.includes('\\u') ||
      (lower.charCodeAt(0) !== 0x7b && lower.charCodeAt(0) !== 0x5b) ||
      foreign.some((bytes) => lower.includes(bytes)) ||
      headersJson.toLowerCase().includes(part)
    return isPossible && exactly(body, headersJson)
  }
}

/** Letters with marks are the same in one sign or in several, as Unicode says (NFC). */
function createReading(text: string): (given: string) => boolean {
  const pattern = new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu')
  if (!/[^\0-\x7f]/.test(text)) return (given) => pattern.test(given)
  return (given) => pattern.test(given) || pattern.test(given.normalize('NFC'))
}

function isIn(reads: (given: string) => boolean, body: Uint8Array, headersJson: string): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()
  if (reads(text)) return true
  if (text.includes('\\') && reads(unescaped(text))) return true
  const headers = Object.entries(JSON.parse(headersJson) as Record<string, string>)
  if (headers.some(([name, value]) => reads(`${name}: ${value}`))) return true
  const contentType = headers.find(([name]) => name === 'content-type')?.[1]
  return isForm(body, contentType) && reads(unescaped(formText(text)))
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** Reads the escapes of JSON, wherever they are. */
const unescaped = (text: string): string =>
  text.replace(/\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))/g, (_, code: string | undefined, sign: string) =>
    code === undefined ? (SIMPLE_ESCAPES[sign] ?? sign) : String.fromCharCode(Number.parseInt(code, 16)),
  )

const formText = (text: string): string =>
  [...new URLSearchParams(text)].map(([name, value]) => `${name}=${value}`).join('\n')

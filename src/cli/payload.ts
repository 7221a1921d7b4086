import { isForm } from '../domain/payload-match.ts'

/** Characters of a payload that are shown; `--body` writes all of it. */
const MAX_SHOWN = 200_000
const INDENT = '  '

/**
 * A payload as an operator reads it: JSON indented, with its numbers and repeated names as they were sent, and escaped letters as
 * letters; the fields of a form in lines; other text as it is. Nothing in it can control the terminal.
 */
export function readablePayload(body: Uint8Array, contentType: string | undefined): string {
  const text = textOf(body)
  if (text === undefined) return `${body.length} bytes that are not text; --body writes them\n`
  const readable = isForm(body, contentType) ? formLines(text) : isJson(text) ? indented(text) : text
  const shown = withoutControls(readable.slice(0, MAX_SHOWN)).trimEnd()
  return readable.length > MAX_SHOWN ? `${shown}\n… and more; --body writes all of it\n` : `${shown}\n`
}

function textOf(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return undefined
  }
}

function isJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

const formLines = (text: string): string =>
  [...new URLSearchParams(text)]
    .map(([name, value]) => `${name} = ${isJson(value) ? indented(value) : value}\n`)
    .join('')

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g

/** Indents JSON by its tokens, each as it is written. */
function indented(json: string): string {
  let depth = 0
  let shown = ''
  let before = ''
  const newLine = () => `\n${INDENT.repeat(depth)}`
  for (const [token] of json.matchAll(TOKENS)) {
    const opensBefore = before === '{' || before === '['
    if (token === '}' || token === ']') {
      depth--
      shown += opensBefore ? token : newLine() + token
    } else {
      if (opensBefore) shown += newLine()
      shown += token.startsWith('"') ? withLetters(token) : token
      if (token === '{' || token === '[') depth++
      else if (token === ',') shown += newLine()
      else if (token === ':') shown += ' '
    }
    before = token
    if (shown.length > MAX_SHOWN) break
  }
  return shown
}

const ESCAPES = /\\u(d[89ab][\da-f]{2})\\u(d[c-f][\da-f]{2})|\\u([\da-f]{4})|\\./gi
const FIRST_LETTER = 0xa0

/** A string of JSON with its signs outside ASCII as they read: many senders escape them all. Other escapes stay. */
const withLetters = (string: string): string =>
  string.replace(ESCAPES, (escape, high?: string, low?: string, code?: string) => {
    const sign = String.fromCharCode(...[high, low, code].flatMap((hex) => (hex ? [Number.parseInt(hex, 16)] : [])))
    return sign.isWellFormed() && sign.charCodeAt(0) >= FIRST_LETTER ? sign : escape
  })

/** Characters that could control the terminal, or hide text, as escapes. */
const withoutControls = (text: string): string =>
  text
    .replaceAll('\r\n', '\n')
    .replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) =>
      [...Array(sign.length).keys()].map((at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
    )

import { createHmac } from 'node:crypto'
import type { Headers } from '../domain/event.ts'
import type { HmacScheme } from './hmac.ts'

/** The values of a template's placeholders in one request. */
interface TemplateValues {
  readonly id: string
  readonly timestamp: string
  readonly url: string
  readonly headers: Headers
  readonly body: Buffer
}

/** Literal text, or a function that gives a placeholder's value. Strings have one byte per character (Latin-1), like Node's header values. */
type Piece = string | ((parts: TemplateValues) => string | Buffer)

const PLACEHOLDER = /\{([^{}]*)\}/

/** The pieces of a template. Throws `TypeError` for an unknown placeholder, and for a brace that belongs to no placeholder. */
export function compileTemplate(template: string): readonly Piece[] {
  return template.split(PLACEHOLDER).flatMap((text, index): readonly Piece[] => {
    if (index % 2 === 1) return [placeholder(text)]
    if (/[{}]/.test(text)) throw new TypeError('a brace belongs to no placeholder')
    return text === '' ? [] : [toBytes(text)]
  })
}

function placeholder(name: string): Piece {
  switch (name) {
    case 'id':
      return ({ id }) => id
    case 'timestamp':
      return ({ timestamp }) => timestamp
    case 'url':
      return ({ url }) => toBytes(url)
    case 'body':
      return ({ body }) => body
  }
  const header = /^header:(.+)$/.exec(name)?.[1]?.toLowerCase()
  if (header === undefined) throw new TypeError(`{${name}} is none of {id} {timestamp} {body} {url} {header:name}`)
  return ({ headers }) => headers[header] ?? ''
}

const toBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

/** The HMAC over a template with its values. Header values are included byte for byte. */
export function digest(
  algorithm: HmacScheme['algorithm'],
  key: Buffer,
  pieces: readonly Piece[],
  parts: TemplateValues,
): Buffer {
  const hmac = createHmac(algorithm, key)
  // Each update is a call from JavaScript to native code, so the texts between two bodies are joined first.
  let text = ''
  for (const piece of pieces) {
    const value = typeof piece === 'string' ? piece : piece(parts)
    if (typeof value === 'string') {
      text += value
      continue
    }
    if (text !== '') hmac.update(text, 'latin1')
    text = ''
    hmac.update(value)
  }
  if (text !== '') hmac.update(text, 'latin1')
  return hmac.digest()
}

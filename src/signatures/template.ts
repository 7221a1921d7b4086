import { createHmac } from 'node:crypto'
import type { HmacScheme } from '../domain/provider.ts'
import type { SignedRequest } from '../domain/verifier.ts'

/** What a template's placeholders stand for in one request. */
export interface SignedParts {
  readonly id: string
  readonly timestamp: string
  readonly url: string
  readonly headers: SignedRequest['headers']
  readonly body: Buffer
}

type Piece = string | ((parts: SignedParts) => string | Buffer)

const PLACEHOLDER = /\{([^}]*)\}/

/** The pieces of a template: literal text and what fills its placeholders. Throws `TypeError` on a placeholder that it does not know. */
export function compileTemplate(template: string): readonly Piece[] {
  return template.split(PLACEHOLDER).flatMap((text, index): readonly Piece[] => {
    if (index % 2 === 0) return text === '' ? [] : [text]
    return [placeholder(text)]
  })
}

function placeholder(name: string): Piece {
  switch (name) {
    case 'id':
      return ({ id }) => id
    case 'timestamp':
      return ({ timestamp }) => timestamp
    case 'url':
      return ({ url }) => url
    case 'body':
      return ({ body }) => body
  }
  if (!name.startsWith('header:'))
    throw new TypeError(`{${name}} is none of {id} {timestamp} {body} {url} {header:name}`)
  const header = name.slice('header:'.length).toLowerCase()
  return ({ headers }) => headers[header] ?? ''
}

/**
 * The HMAC over a filled template. Node hands header bytes over as Latin-1, so that is how they go back in: verbatim,
 * whatever they are.
 */
export function digest(
  algorithm: HmacScheme['algorithm'],
  key: Buffer,
  pieces: readonly Piece[],
  parts: SignedParts,
): Buffer {
  const hmac = createHmac(algorithm, key)
  for (const piece of pieces) {
    const value = typeof piece === 'string' ? piece : piece(parts)
    if (typeof value === 'string') hmac.update(value, 'latin1')
    else hmac.update(value)
  }
  return hmac.digest()
}

/** What keeps a scheme's template from being filled, one sentence each. */
export function templateFaults(scheme: HmacScheme): readonly string[] {
  const faults: string[] = []
  try {
    compileTemplate(scheme.signed)
  } catch (error) {
    faults.push((error as Error).message)
  }
  const uses = (name: string): boolean => scheme.signed.includes(`{${name}}`)
  if (!uses('body')) faults.push('the template signs no {body}')
  if (uses('id') !== (scheme.id !== undefined)) faults.push('{id} and the header it comes from go together')
  const sentApart = scheme.timestamp !== undefined && !('body' in scheme.timestamp.from)
  if (uses('timestamp') !== sentApart) faults.push('{timestamp} and where it comes from go together')
  return faults
}

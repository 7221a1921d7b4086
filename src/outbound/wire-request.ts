import type { ReadyRequest } from '../domain/outbound.ts'
import { CallFault } from './call-fault.ts'

/** A request as it goes on the wire. */
export interface WireRequest {
  readonly method: ReadyRequest['method']
  /** With the base URL's own path before it, and the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

type HeaderRecord = Readonly<Record<string, string>>

/** Path characters of RFC 3986; all others are escaped by who builds the path. */
const PATH = /^\/(?:[\w.~!$&'()*+,;=:@/-]|%[\da-f]{2})*$/i
/** Between segments, also for servers that unescape before they split. */
const SEPARATOR = /\/|%2f|%5c/i
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i

/**
 * Later headers win: the defaults, the base's, the request's own. Throws `CallFault` for a path that could be read as
 * leading out of the base's, since ids from outside stand in it.
 */
export function wireRequest(base: URL, baseHeaders: HeaderRecord, request: ReadyRequest): WireRequest {
  const { contentType, body } = bodyOf(request)
  const defaults = { accept: 'application/json', ...(contentType !== undefined && { 'content-type': contentType }) }
  return {
    method: request.method,
    path: pathOf(base, request),
    headers: {
      ...defaults,
      ...lowerCased(baseHeaders),
      ...lowerCased(request.headers ?? {}),
      'accept-encoding': 'identity',
    },
    body,
  }
}

function pathOf(base: URL, { path, query = {} }: ReadyRequest): string {
  if (!PATH.test(path)) throw new CallFault('forbidden_address', 'The path is not an escaped path that begins with /.')
  if (path.split(SEPARATOR).some((segment) => DOT_SEGMENT.test(segment)))
    throw new CallFault('forbidden_address', 'The path has a segment of dots, which could lead elsewhere.')
  const search = new URLSearchParams(query).toString()
  return `${base.pathname.replace(/\/+$/, '')}${path}${search === '' ? '' : `?${search}`}`
}

function bodyOf({ jsonText, formText }: ReadyRequest): {
  readonly contentType?: string
  readonly body: string | null
} {
  if (jsonText !== undefined) return { contentType: 'application/json', body: jsonText }
  if (formText !== undefined) return { contentType: 'application/x-www-form-urlencoded', body: formText }
  return { body: null }
}

const lowerCased = (headers: HeaderRecord): HeaderRecord =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

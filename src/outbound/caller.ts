import type { LookupFunction } from 'node:net'
import { Agent } from 'undici'
import {
  CALL_CONNECT_TIMEOUT_MS,
  CALL_TIMEOUT_MS,
  MAX_ARRIVING_ANSWER_BYTES,
  MAX_CALL_CONNECTIONS,
  MAX_HEADER_BYTES,
  MAX_OPEN_CALLS,
} from '../domain/limits.ts'
import type { AnswerOptions, CallProvider, CallResult, ReadyRequest } from '../domain/outbound.ts'
import { filterFor } from './address-filter.ts'
import { bounded, type Stop } from './bounded-call.ts'
import { CallFault, failureOf } from './call-fault.ts'
import { createConnector } from './connector.ts'
import { AnswerMemory, readAnswer } from './read-answer.ts'

export interface CallerOptions {
  /** http(s), without credentials, query and fragment. Its path precedes the path of every request. */
  readonly baseUrl: string
  /** The operator has set the URL, so that its host may be on a private network. */
  readonly baseIsConfigured: boolean
  /** Sent with every request; among them the API key. */
  readonly headers?: Readonly<Record<string, string>>
  /** Holdfast's version, for `User-Agent`. */
  readonly version: string
  /** Bytes of an answer that is kept whole, unless a call asks for fewer. */
  readonly maxAnswerBytes: number
  /** Shared by all callers of the process. Default: a memory of this caller alone. */
  readonly memory?: AnswerMemory
  readonly timeouts?: { readonly connectMs: number; readonly totalMs: number }
  /** As `dns.lookup`. Default: `createLookup`. */
  readonly lookup?: LookupFunction
}

export interface Caller {
  readonly call: CallProvider
  /** Ends the open calls, and makes no later ones. Idempotent. */
  close(): Promise<void>
}

const DEFAULT_TIMEOUTS = { connectMs: CALL_CONNECT_TIMEOUT_MS, totalMs: CALL_TIMEOUT_MS }

/**
 * Makes the caller of one source's provider. It has connections of its own, shared with no other source, and ignores proxies of the
 * environment. Throws `TypeError` if `baseUrl` is no URL.
 */
export function createCaller(options: CallerOptions): Caller {
  const { maxAnswerBytes, timeouts = DEFAULT_TIMEOUTS, memory = answerMemory(maxAnswerBytes) } = options
  const base = new URL(options.baseUrl)
  const headers = { 'user-agent': `holdfast/${options.version}`, ...options.headers }
  const filter = filterFor(base.hostname, options.baseIsConfigured)
  const agent = new Agent({
    connect: createConnector(filter, timeouts.connectMs, options.lookup),
    connections: MAX_CALL_CONNECTIONS,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
    // `CallTimer` bounds the whole call.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  let openCalls = 0
  let isClosed = false

  async function exchange(request: ReadyRequest, stop: Stop, answerOptions: AnswerOptions): Promise<CallResult> {
    using taken = new DisposableStack()
    const { signal } = stop
    const answer = await agent.request({ ...wireRequest(base, headers, request), origin: base.origin, signal })
    const { maxBytes = maxAnswerBytes, outline = false, hold } = answerOptions
    const read = await readAnswer(answer, {
      ...stop,
      maxBytes: Math.min(maxBytes, maxAnswerBytes),
      outline,
      memory,
      hold: taken,
    })
    // A caller that has given up has disposed of `hold` already.
    if (hold?.disposed === false) hold.use(taken.move())
    return read
  }

  async function call(
    request: ReadyRequest,
    signal?: AbortSignal,
    answerOptions: AnswerOptions = {},
  ): Promise<CallResult> {
    if (isClosed || signal?.aborted === true) return failureOf(notMade('The call was given up before it was made.'))
    if (openCalls >= MAX_OPEN_CALLS) return failureOf(notMade(`${MAX_OPEN_CALLS} calls to the API are open already.`))
    openCalls++
    try {
      return await bounded((stop) => exchange(request, stop, answerOptions), timeouts.totalMs, signal)
    } catch (error) {
      return failureOf(error)
    } finally {
      openCalls--
    }
  }

  return {
    call,
    async close() {
      isClosed = true
      await agent.destroy()
    },
  }
}

/**
 * Memory for answers of at most `maxAnswerBytes`: enough for one such answer, or `MAX_ARRIVING_ANSWER_BYTES` if that is more, which
 * leaves room for webhooks in the store's queue (`MAX_QUEUED_BYTES`).
 */
export const answerMemory = (maxAnswerBytes: number): AnswerMemory =>
  new AnswerMemory(Math.max(maxAnswerBytes, MAX_ARRIVING_ANSWER_BYTES))

const notMade = (message: string): CallFault => new CallFault('unreachable', message)

/** A request in the form in which undici sends it. */
interface WireRequest {
  readonly method: ReadyRequest['method']
  /** The base URL's path, the request's path and the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

type HeaderRecord = Readonly<Record<string, string>>

/** Path characters of RFC 3986; the module that builds the path escapes all others. */
const PATH = /^\/(?:[\w.~!$&'()*+,;=:@/-]|%[\da-f]{2})*$/i
/** Separates the segments of a path, also escaped, because some servers unescape a path before they split it. */
const SEPARATOR = /\/|%2f|%5c/i
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i

/**
 * Merges the headers: those of the caller replace the defaults, and those of the request replace both. Throws `CallFault` for a path
 * that a server could read as leading out of the base URL's path: it may contain ids from outside.
 */
function wireRequest(base: URL, baseHeaders: HeaderRecord, request: ReadyRequest): WireRequest {
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

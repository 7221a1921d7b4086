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
import { CallFault, failureOf } from './call-fault.ts'
import { createConnector } from './connector.ts'
import { AnswerMemory, readAnswer } from './read-answer.ts'

export interface CallerOptions {
  /** http(s), without credentials, query and fragment; its path stands before that of every request. */
  readonly baseUrl: string
  /** The operator has set the URL, so that its host may be on a private network. */
  readonly baseIsConfigured: boolean
  /** Sent with every request; the key is one of them. */
  readonly headers?: Readonly<Record<string, string>>
  /** Holdfast's version, for `User-Agent`. */
  readonly version: string
  /** Bytes of an answer that is kept whole, unless a call asks for fewer. */
  readonly maxAnswerBytes: number
  /** Shared by all callers of the process; the caller's own unless given. */
  readonly memory?: AnswerMemory
  readonly timeouts?: { readonly connectMs: number; readonly totalMs: number }
  /** As `dns.lookup`; by `createLookup` unless given. */
  readonly lookup?: LookupFunction
}

export interface Caller {
  readonly call: CallProvider
  /** Ends the calls that are open; those that come later are not made. Idempotent. */
  close(): Promise<void>
}

const DEFAULT_TIMEOUTS = { connectMs: CALL_CONNECT_TIMEOUT_MS, totalMs: CALL_TIMEOUT_MS }

/**
 * Calls one source's provider over connections of its own: it uses no proxy of the environment and no connection of another
 * source. Throws `TypeError` where the base is no URL.
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
    // A caller that has given up has disposed of it already.
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

/** Memory for answers that may be so long: for one at least, and for no more than the store takes beside webhooks. */
export const answerMemory = (maxAnswerBytes: number): AnswerMemory =>
  new AnswerMemory(Math.max(maxAnswerBytes, MAX_ARRIVING_ANSWER_BYTES))

const notMade = (message: string): CallFault => new CallFault('unreachable', message)

interface Stop {
  readonly signal: AbortSignal
  readonly time: CallTimer
}

/**
 * Settles when the work settles, when the time is over or when the caller's signal aborts, and then stops the work. undici
 * acts on a signal only once it has a connection, so this function races the work against the signal itself.
 */
async function bounded<Result>(
  work: (stop: Stop) => Promise<Result>,
  totalMs: number,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const stop = new AbortController()
  const stopped = Promise.withResolvers<never>()
  const end = (fault: CallFault): void => {
    stopped.reject(fault)
    stop.abort(fault)
  }
  const time = new CallTimer(totalMs, end)
  const giveUp = (): void => end(new CallFault('broken', 'The call was given up.'))
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([stopped.promise, work({ signal: stop.signal, time })])
  } finally {
    time.stop()
    signal?.removeEventListener('abort', giveUp)
  }
}

/** A call whose answer keeps coming may take so many times the usual time. */
const MAX_STRETCH = 4

/**
 * Ends a call that takes too long. An answer that keeps coming has more time, and waiting for memory costs none.
 */
class CallTimer {
  readonly #totalMs: number
  readonly #end: (fault: CallFault) => void
  #leftMs: number
  #startedAtMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(totalMs: number, end: (fault: CallFault) => void) {
    this.#totalMs = totalMs
    this.#end = end
    this.#leftMs = totalMs * MAX_STRETCH
    this.#startedAtMs = performance.now()
    this.#run()
  }

  /** A part of the answer has come. */
  progress(): void {
    this.stop()
    this.#run()
  }

  /** Stops the time until the next progress. Idempotent. */
  stop(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#leftMs = Math.max(0, this.#leftMs - (performance.now() - this.#startedAtMs))
  }

  #run(): void {
    const ms = Math.min(this.#totalMs, this.#leftMs)
    this.#startedAtMs = performance.now()
    this.#timer = setTimeout(() => {
      const tookMs = Math.round(this.#totalMs * MAX_STRETCH - this.#leftMs + ms)
      this.#end(new CallFault('timeout', `No whole answer came within ${tookMs} ms.`))
    }, ms)
  }
}

/** A request as it goes on the wire. */
interface WireRequest {
  readonly method: ReadyRequest['method']
  /** With the base URL's own path before it, and the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

type HeaderRecord = Readonly<Record<string, string>>

/** Path characters of RFC 3986; the module that builds the path escapes all others. */
const PATH = /^\/(?:[\w.~!$&'()*+,;=:@/-]|%[\da-f]{2})*$/i
/** Separates segments, also at servers that unescape before they split. */
const SEPARATOR = /\/|%2f|%5c/i
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i

/**
 * Later headers win: the defaults, the base's, the request's own. Throws `CallFault` for a path that could be read as
 * leading out of the base's, since ids from outside stand in it.
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

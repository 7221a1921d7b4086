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
import type { AnswerWish, CallProvider, CallResult, ReadyRequest } from '../domain/outbound.ts'
import { reachOf } from './address.ts'
import { AnswerRoom } from './answer-room.ts'
import { CallFault, failureOf } from './call-fault.ts'
import { CallTime } from './call-time.ts'
import { connectWithin } from './connector.ts'
import { readAnswer } from './read-answer.ts'
import { wireRequest } from './wire-request.ts'

export interface CallerOptions {
  /** http(s), without credentials, query and fragment; its path stands before that of every request. */
  readonly baseUrl: string
  /** The operator has set it, so that it may lie on a private network if its host says so. */
  readonly baseIsConfigured: boolean
  /** Sent with every request; among them the key. */
  readonly headers?: Readonly<Record<string, string>>
  /** Holdfast's own, for `User-Agent`. */
  readonly version: string
  /** Of an answer that is kept whole, unless the call says less. */
  readonly maxAnswerBytes: number
  /** Shared by all callers of the process; one's own unless given. */
  readonly room?: AnswerRoom
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
 * Calls one source's provider over connections of its own: no proxy of the environment stands between, nor a connection
 * that another source has opened. Throws `TypeError` where the base is no URL.
 */
export function createCaller(options: CallerOptions): Caller {
  const { maxAnswerBytes, timeouts = DEFAULT_TIMEOUTS, room = answerRoom(maxAnswerBytes) } = options
  const base = new URL(options.baseUrl)
  const headers = { 'user-agent': `holdfast/${options.version}`, ...options.headers }
  const reach = reachOf(base.hostname, options.baseIsConfigured)
  const agent = new Agent({
    connect: connectWithin(reach, timeouts.connectMs, options.lookup),
    connections: MAX_CALL_CONNECTIONS,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
    // One bound counts for the whole call, below.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  let openCalls = 0
  let isClosed = false

  async function exchange(request: ReadyRequest, stop: Stop, wish: AnswerWish): Promise<CallResult> {
    using taken = new DisposableStack()
    const { signal } = stop
    const answer = await agent.request({ ...wireRequest(base, headers, request), origin: base.origin, signal })
    const { maxBytes = maxAnswerBytes, outline = false, hold } = wish
    const read = await readAnswer(answer, {
      ...stop,
      maxBytes: Math.min(maxBytes, maxAnswerBytes),
      outline,
      room,
      hold: taken,
    })
    // Whoever gave the call up has nothing more to give back.
    if (hold?.disposed === false) hold.use(taken.move())
    return read
  }

  async function call(request: ReadyRequest, signal?: AbortSignal, wish: AnswerWish = {}): Promise<CallResult> {
    if (isClosed || signal?.aborted === true) return failureOf(notMade('The call was given up before it was made.'))
    if (openCalls >= MAX_OPEN_CALLS) return failureOf(notMade(`${MAX_OPEN_CALLS} calls to the API are open already.`))
    openCalls++
    try {
      return await bounded((stop) => exchange(request, stop, wish), timeouts.totalMs, signal)
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

/** Room for answers that may be so long: for one at least, and for no more than the store takes beside webhooks. */
export const answerRoom = (maxAnswerBytes: number): AnswerRoom =>
  new AnswerRoom(Math.max(maxAnswerBytes, MAX_ARRIVING_ANSWER_BYTES))

const notMade = (message: string): CallFault => new CallFault('unreachable', message)

interface Stop {
  readonly signal: AbortSignal
  readonly time: CallTime
}

/**
 * Settles when the work does, the time is over or the caller's signal aborts, whichever is first; the work is told to
 * stop. undici heeds a signal only once it has a connection, hence the race.
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
  const time = new CallTime(totalMs, end)
  const giveUp = (): void => end(new CallFault('broken', 'The call was given up.'))
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([stopped.promise, work({ signal: stop.signal, time })])
  } finally {
    time.stop()
    signal?.removeEventListener('abort', giveUp)
  }
}

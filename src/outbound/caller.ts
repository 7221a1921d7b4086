import type { LookupFunction } from 'node:net'
import { Agent } from 'undici'
import {
  CALL_CONNECT_TIMEOUT_MS,
  CALL_TIMEOUT_MS,
  MAX_CALL_CONNECTIONS,
  MAX_HEADER_BYTES,
  MAX_OPEN_CALLS,
} from '../domain/limits.ts'
import type { ApiRequest, CallProvider, CallResult } from '../domain/outbound.ts'
import { reachOf } from './address.ts'
import { CallFault, failureOf } from './call-fault.ts'
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
  readonly maxAnswerBytes: number
  readonly timeouts?: { readonly connectMs: number; readonly totalMs: number }
  /** As `dns.lookup`, which it is unless given. */
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
  const { maxAnswerBytes, timeouts = DEFAULT_TIMEOUTS } = options
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

  async function exchange(request: ApiRequest, signal: AbortSignal): Promise<CallResult> {
    const answer = await agent.request({ ...wireRequest(base, headers, request), origin: base.origin, signal })
    return readAnswer(answer, maxAnswerBytes)
  }

  async function call(request: ApiRequest, signal?: AbortSignal): Promise<CallResult> {
    if (isClosed || signal?.aborted === true) return failureOf(notMade('The call was given up before it was made.'))
    if (openCalls >= MAX_OPEN_CALLS) return failureOf(notMade(`${MAX_OPEN_CALLS} calls to the API are open already.`))
    openCalls++
    try {
      return await bounded((stop) => exchange(request, stop), timeouts.totalMs, signal)
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

const notMade = (message: string): CallFault => new CallFault('unreachable', message)

/**
 * Settles when the work does, the time is over or the caller's signal aborts, whichever is first; the work is told to
 * stop. undici heeds a signal only once it has a connection, hence the race.
 */
async function bounded<Result>(
  work: (stop: AbortSignal) => Promise<Result>,
  totalMs: number,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const stop = new AbortController()
  const stopped = Promise.withResolvers<never>()
  const end = (fault: CallFault): void => {
    stopped.reject(fault)
    stop.abort(fault)
  }
  const timer = setTimeout(() => end(new CallFault('timeout', `No whole answer came within ${totalMs} ms.`)), totalMs)
  const giveUp = (): void => end(new CallFault('broken', 'The call was given up.'))
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([stopped.promise, work(stop.signal)])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', giveUp)
  }
}

import type { LookupFunction } from 'node:net'
import { Agent, type buildConnector, type Dispatcher } from 'undici'
import type { Headers } from '../domain/event.ts'
import { CALL_CONNECT_TIMEOUT_MS, MAX_CALL_CONNECTIONS, MAX_HEADER_BYTES } from '../domain/limits.ts'
import type { CallResult } from '../domain/outbound.ts'
import type { AddressFilter } from './address-filter.ts'
import { bounded } from './bounded-call.ts'
import { CallFault, failureOf } from './call-fault.ts'
import { createConnector } from './connector.ts'
import { flat } from './read-answer.ts'

/** Bytes of an answer's body that are kept, and that are read before the connection is closed, and the longest time for that. */
const KEPT_BYTES = 4_096
const MAX_READ_BYTES = 131_072
const MAX_READ_MS = 1_000

export interface PosterOptions {
  readonly url: URL
  readonly filter: AddressFilter
  /** The time for a whole call. */
  readonly timeoutMs: number
  /** As `dns.lookup`. Default: `createLookup`. */
  readonly lookup?: LookupFunction
}

/** An answer, whose body may be cut. */
export interface Posted {
  readonly ok: true
  readonly status: number
  readonly headers: Headers
  /** From the request until the status came. */
  readonly durationMs: number
  /** The beginning of the answer's body. */
  readonly beginning: Buffer
  /** The body has more than that, or did not come whole. */
  readonly isCut: boolean
}
type PostResult = Exclude<CallResult, { ok: true }> | Posted

/** Posts bytes to the URL. Follows no redirect. What counts is the status: the body may be cut off or broken. Never rejects. */
export type Post = (
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  signal: AbortSignal,
) => Promise<PostResult>

/**
 * Makes a poster with connections of its own, which it keeps open and uses again. They do not keep the process running. A server may
 * close such a connection at the moment at which a request is sent on it: then the request is sent once more, on another connection.
 */
export function createPoster({ url, filter, timeoutMs, lookup }: PosterOptions): Post {
  const { connect, openedAtMs } = notingEnds(
    createConnector(filter, Math.min(timeoutMs, CALL_CONNECT_TIMEOUT_MS), lookup),
  )
  const agent = new Agent({
    connect,
    connections: MAX_CALL_CONNECTIONS,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
    // `bounded` bounds the whole call.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const target = { origin: url.origin, path: `${url.pathname}${url.search}`, method: 'POST' } as const
  return async (headers, body, signal) => {
    if (signal.aborted) return failureOf(new CallFault('unreachable', 'The call was given up before it was made.'))
    try {
      return await bounded(
        async ({ signal: stopping, time }) => {
          const send = () => agent.request({ ...target, headers, body, signal: stopping })
          const beganMs = performance.now()
          const answer = await onOpenConnection(send, openedAtMs)
          const durationMs = performance.now() - beganMs
          time.stop()
          const read = await beginningOf(answer.body)
          return { ok: true, status: answer.statusCode, headers: flat(answer.headers), durationMs, ...read }
        },
        timeoutMs,
        signal,
      )
    } catch (error) {
      return failureOf(error)
    }
  }
}

/** Opens connections, and notes for the error that ends one when it was opened. */
function notingEnds(open: buildConnector.connector) {
  const opened = new WeakMap<Error, number>()
  const connect: buildConnector.connector = (options, callback) =>
    open(options, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null)
        return
      }
      const atMs = performance.now()
      socket.once('error', (end: Error) => opened.set(end, atMs))
      callback(null, socket)
    })
  return { connect, openedAtMs: (error: unknown) => (error instanceof Error ? opened.get(error) : undefined) }
}

/**
 * Sends again as long as the connection on which the request failed was open before: its server may have closed it without a look at
 * the request. Each time one such connection is gone, and at the latest a new one follows.
 */
async function onOpenConnection<Answer>(
  send: () => Promise<Answer>,
  openedAtMs: (error: unknown) => number | undefined,
): Promise<Answer> {
  const beganMs = performance.now()
  for (let left = MAX_CALL_CONNECTIONS; ; left--)
    try {
      return await send()
    } catch (error) {
      const atMs = openedAtMs(error)
      if (left === 0 || atMs === undefined || atMs >= beganMs) throw error
    }
}

/** Reads a body to its end, so that its connection can be used again; closes the connection of a long or slow one. Never rejects. */
async function beginningOf(body: Dispatcher.ResponseData['body']): Promise<Pick<Posted, 'beginning' | 'isCut'>> {
  const kept: Buffer[] = []
  let bytes = 0
  let isWhole = false
  // A body that is destroyed emits an error, which would end the process.
  body.on('error', () => {})
  const timer = setTimeout(() => body.destroy(), MAX_READ_MS)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (bytes < KEPT_BYTES) kept.push(chunk.subarray(0, KEPT_BYTES - bytes))
      bytes += chunk.length
      if (bytes > MAX_READ_BYTES) break
    }
    isWhole = bytes <= KEPT_BYTES
  } catch {
    // The status is known.
  } finally {
    clearTimeout(timer)
  }
  return { beginning: Buffer.concat(kept), isCut: !isWhole }
}

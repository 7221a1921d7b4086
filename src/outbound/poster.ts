import type { LookupFunction } from 'node:net'
import { Agent, type Dispatcher } from 'undici'
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

/** The beginning of the answer's body may be all that is kept of it. */
type PostResult = Exclude<CallResult, { ok: true }> | { ok: true; status: number; headers: Headers; beginning: Buffer }

/** Posts bytes to the URL. Follows no redirect. What counts is the status: the body may be cut off or broken. Never rejects. */
export type Post = (
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  signal: AbortSignal,
) => Promise<PostResult>

/** Makes a poster with connections of its own, which it keeps open and uses again. They do not keep the process running. */
export function createPoster({ url, filter, timeoutMs, lookup }: PosterOptions): Post {
  const agent = new Agent({
    connect: createConnector(filter, Math.min(timeoutMs, CALL_CONNECT_TIMEOUT_MS), lookup),
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
          const answer = await agent.request({ ...target, headers, body, signal: stopping })
          time.stop()
          const beginning = await beginningOf(answer.body)
          return { ok: true, status: answer.statusCode, headers: flat(answer.headers), beginning }
        },
        timeoutMs,
        signal,
      )
    } catch (error) {
      return failureOf(error)
    }
  }
}

/** Reads a body to its end, so that its connection can be used again; closes the connection of a long or slow one. Never rejects. */
async function beginningOf(body: Dispatcher.ResponseData['body']): Promise<Buffer> {
  const kept: Buffer[] = []
  let bytes = 0
  // A body that is destroyed emits an error, which would end the process.
  body.on('error', () => {})
  const timer = setTimeout(() => body.destroy(), MAX_READ_MS)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (bytes < KEPT_BYTES) kept.push(chunk.subarray(0, KEPT_BYTES - bytes))
      bytes += chunk.length
      if (bytes > MAX_READ_BYTES) break
    }
  } catch {
    // The status is known.
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(kept)
}

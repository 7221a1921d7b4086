import type { ClientRequest, IncomingMessage } from 'node:http'

/** Requests to one service over one connection. */
export interface Transport {
  /** Resolves with any answer. Rejects without one: `TimeoutError` if nothing came in time. */
  request(request: OpsRequest): Promise<OpsAnswer>
  /**
   * Resolves with the beginning of any answer, which the caller reads; on a connection of its own. The connection ends with `signal`, and
   * if nothing comes for long.
   */
  open(request: OpsRequest, signal: AbortSignal): Promise<IncomingMessage>
  /** Ends the connection; a request that is open rejects. */
  destroy(): void
}

export interface OpsRequest {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

export interface OpsAnswer {
  readonly statusCode: number
  readonly bytes: Buffer
}

interface Limits {
  /** The longest wait for the beginning of an answer, and between two parts of it. */
  readonly timeoutMs: number
  /** Bytes of one answer. */
  readonly maxBytes: number
}

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
}

/**
 * Node's own HTTP client: a command makes one or two requests, and another client would take longer to load than they take.
 */
export async function createTransport(protocol: string, limits: Limits): Promise<Transport> {
  const { Agent, request } = await (protocol === 'https:' ? import('node:https') : import('node:http'))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const open = new Set<ClientRequest>()

  const send = (asked: OpsRequest) =>
    new Promise<OpsAnswer>((resolve, reject) => {
      const { origin, path, method, headers, body } = asked
      const length = body === null ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const options = { agent, method, headers: { ...headers, ...length }, timeout: limits.timeoutMs }
      let late: TimeoutError | undefined
      const fail = (error: unknown): void => reject(late ?? error)
      const sent = request(origin + path, options, (answer) => void read(answer, limits.maxBytes).then(resolve, fail))
      open.add(sent)
      sent.once('close', () => open.delete(sent))
      sent.once('timeout', () => {
        late = new TimeoutError(`nothing came for ${limits.timeoutMs / 1_000} s`)
        sent.destroy(late)
      })
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // The service may close a kept connection just when it is used again. To read once more does no harm.
        if (sent.reusedSocket && error.code === 'ECONNRESET' && method === 'GET') send(asked).then(resolve, reject)
        else fail(error)
      })
      sent.end(body ?? undefined)
    })

  const openStream = (asked: OpsRequest, signal: AbortSignal) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const { origin, path, method, headers } = asked
      const sent = request(origin + path, { agent: false, method, headers, signal, timeout: limits.timeoutMs }, resolve)
      open.add(sent)
      sent.once('close', () => open.delete(sent))
      sent.once('timeout', () => sent.destroy(new TimeoutError(`nothing came for ${limits.timeoutMs / 1_000} s`)))
      sent.on('error', reject)
      sent.end()
    })

  return {
    request: send,
    open: openStream,
    destroy: () => {
      for (const each of open) each.destroy(new Error('the command has ended'))
      agent.destroy()
    },
  }
}

export async function read(answer: IncomingMessage, maxBytes: number): Promise<OpsAnswer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return { statusCode: answer.statusCode ?? 0, bytes: Buffer.concat(chunks) }
}

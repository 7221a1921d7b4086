import { createHmac, randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { AI_SECRET } from './ai-source.ts'

/** Silence after which a conversation is taken for over; the other side may still end it sooner. */
const SILENCE_MS = 1_000
/** Time for a whole conversation. */
const CONVERSATION_MS = 20_000

/** Headers by which source `ai` is sure of these very bytes, valid UTF-8 or not. */
export function signatureOf(body: Uint8Array, id = `msg_${randomUUID()}`, atMs = Date.now()): Record<string, string> {
  const timestamp = String(Math.floor(atMs / 1000))
  const key = Buffer.from(AI_SECRET.slice('whsec_'.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

export interface RawRequest {
  readonly method?: string
  readonly target?: string
  readonly version?: string
  /** Lines of the head after the request line; `Host` and `Connection: close` stand before them unless left out. */
  readonly lines?: readonly string[]
  readonly bare?: boolean
  readonly body?: Uint8Array
  /** Signed over `body`, or over this where it is not the same. */
  readonly signed?: Uint8Array | true
  /** A `Content-Length` of the body's own; false where `lines` say how it is framed. */
  readonly framed?: boolean
}

/** A request as bytes, exactly as it is told, mistakes and all. */
export function rawRequest(request: RawRequest): Buffer {
  const { method = 'POST', target = '/v1/webhooks/ai', version = 'HTTP/1.1', body = Buffer.alloc(0) } = request
  const { signed, lines = [], bare = false, framed = true } = request
  const signature = signed === undefined ? {} : signatureOf(signed === true ? body : signed)
  const head = [
    `${method} ${target} ${version}`,
    ...(bare ? [] : ['Host: localhost', 'Connection: close']),
    ...Object.entries(signature).map(([name, value]) => `${name}: ${value}`),
    ...(framed ? [`Content-Length: ${body.length}`] : []),
    ...lines,
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), body])
}

export interface Conversation {
  /** The status of every answer, in order; 100 is none. */
  readonly statuses: readonly number[]
  readonly text: string
}

export interface Pace {
  /** Silence after which the other side is told that no more comes. */
  readonly silenceMs?: number
}

/**
 * Sends bytes as they are, each part in a packet of its own, and gives all that came back until the other side ended it,
 * or fell silent and was then told that no more comes. A connection that breaks is an end, too. Rejects only if none of
 * this happens in time.
 */
export function converse(
  port: number,
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { silenceMs = SILENCE_MS }: Pace = {},
): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).setNoDelay()
    const chunks: Buffer[] = []
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end within ${CONVERSATION_MS} ms`))
    }, CONVERSATION_MS)
    const silence = setTimeout(() => socket.end(), silenceMs)
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      silence.refresh()
    })
    socket.on('end', () => socket.end())
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(late)
      clearTimeout(silence)
      const text = Buffer.concat(chunks).toString('latin1')
      resolve({ text, statuses: statusesOf(text) })
    })
    void sendAll(socket, parts, silence)
  })
}

async function sendAll(
  socket: Socket,
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  silence: NodeJS.Timeout,
): Promise<void> {
  for await (const part of parts) {
    if (!socket.writable) return
    await new Promise((resolve) => socket.write(part, resolve))
    silence.refresh()
  }
}

const statusesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)).filter((status) => status !== 100)

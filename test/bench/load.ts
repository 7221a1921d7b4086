import { createHmac, randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { AI_SECRET } from '../support/ai-source.ts'

const BODY_BYTES = 1_024
const key = Buffer.from(AI_SECRET.replace('whsec_', ''), 'base64')

/** Whole requests, signed, unique and numbered (`data.n`), ready to be written to a socket, so that making them costs the run nothing. */
export function signedRequests(count: number, type: string): Buffer[] {
  const timestamp = Math.floor(Date.now() / 1000)
  return Array.from({ length: count }, (_, n) => {
    const id = `evt_${randomUUID()}`
    const event = { id, type, created_at: new Date().toISOString(), data: { n, filler: '' } }
    event.data.filler = 'x'.repeat(BODY_BYTES - JSON.stringify(event).length)
    const body = JSON.stringify(event)
    const signature = createHmac('sha256', key).update(`msg_${id}.${timestamp}.${body}`).digest('base64')
    return Buffer.from(
      `POST /v1/webhooks/ai HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nuser-agent: bench/1.0\r\n` +
        `webhook-id: msg_${id}\r\nwebhook-timestamp: ${timestamp}\r\nwebhook-signature: v1,${signature}\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    )
  })
}

export interface LoadResult {
  readonly sent: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Sends every request once, over so many connections, each with one request under way, spread evenly over the servers.
 * `onAcknowledged` is told which request it was. Rejects on any answer but 200.
 */
export async function load(
  servers: string | readonly string[],
  requests: readonly Buffer[],
  connections: number,
  onAcknowledged?: (index: number) => void,
): Promise<LoadResult> {
  const urls = [servers].flat().map((url) => new URL(url))
  const latencies = new Float64Array(requests.length)
  let next = 0
  const startedAt = performance.now()
  const client = (_: unknown, nth: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = urls[nth % urls.length] ?? new URL('')
      const socket = connect({ host: hostname, port: Number(port), noDelay: true })
      let sentAt = 0
      let index = 0
      let answer = Buffer.alloc(0)
      const send = (): void => {
        const request = requests[next]
        if (request === undefined) {
          socket.end()
          resolve()
          return
        }
        index = next++
        sentAt = performance.now()
        socket.write(request)
      }
      socket.on('connect', send)
      socket.on('error', reject)
      socket.on('data', (chunk) => {
        answer = Buffer.concat([answer, Buffer.from(chunk)])
        const head = answer.indexOf(HEAD_END)
        if (head < 0) return
        const text = answer.toString('latin1', 0, head)
        if (!text.startsWith('HTTP/1.1 200')) {
          reject(new Error(`answered ${text}`))
          return
        }
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
        if (answer.length < head + 4 + length) return
        answer = Buffer.alloc(0)
        latencies[index] = performance.now() - sentAt
        onAcknowledged?.(index)
        send()
      })
    })
  await Promise.all(Array.from({ length: connections }, client))
  const seconds = (performance.now() - startedAt) / 1000
  latencies.sort()
  const at = (part: number): number => latencies[Math.floor((latencies.length - 1) * part)] ?? 0
  return { sent: requests.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

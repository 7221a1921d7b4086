import { connect, type Socket } from 'node:net'
import { monotonicMs } from './starts.ts'

/** Connections that a service may make the sender open by being slow; past it, the run fails. */
const MAX_CONNECTIONS = 4_096
const HEAD_END = '\r\n\r\n'

export interface Paced {
  readonly seconds: number
  readonly latenciesMs: Float64Array
  /** When each was acknowledged, on the clock of `monotonicMs`. */
  readonly ackedAtMs: Float64Array
}

/**
 * Sends the requests evenly paced, so many a second, whatever the service does: one that finds every connection busy opens
 * another. Rejects on any answer but 200.
 */
export function sendPaced(url: string, requests: readonly Buffer[], perSecond: number): Promise<Paced> {
  const { hostname, port } = new URL(url)
  const latenciesMs = new Float64Array(requests.length)
  const ackedAtMs = new Float64Array(requests.length)
  const idle: Connection[] = []
  const all: Connection[] = []
  const startedAtMs = monotonicMs()
  let next = 0
  let acknowledged = 0

  return new Promise((resolve, reject) => {
    const open = (): Connection => {
      if (all.length === MAX_CONNECTIONS) fail(new Error(`more than ${MAX_CONNECTIONS} requests wait for an answer`))
      const connection = new Connection(connect({ host: hostname, port: Number(port), noDelay: true }), fail)
      all.push(connection)
      return connection
    }

    function fail(error: Error): void {
      next = requests.length
      for (const each of all) each.close()
      reject(error)
    }

    function sendDue(): void {
      const dueAtMs = (index: number): number => startedAtMs + (index * 1_000) / perSecond
      for (; next < requests.length && dueAtMs(next) <= monotonicMs(); next++) sendOne(next)
      if (next < requests.length) setTimeout(sendDue, Math.max(0, dueAtMs(next) - monotonicMs()))
    }

    function sendOne(index: number): void {
      const connection = idle.pop() ?? open()
      const sentAtMs = monotonicMs()
      connection.ask(requests[index] ?? Buffer.alloc(0), () => {
        const nowMs = monotonicMs()
        latenciesMs[index] = nowMs - sentAtMs
        ackedAtMs[index] = nowMs
        idle.push(connection)
        if (++acknowledged < requests.length) return
        for (const each of all) each.close()
        resolve({ seconds: (nowMs - startedAtMs) / 1_000, latenciesMs, ackedAtMs })
      })
    }

    sendDue()
  })
}

/** One request under way at a time. */
class Connection {
  readonly #socket: Socket
  #answered: (() => void) | undefined
  #text = ''

  constructor(socket: Socket, onFault: (error: Error) => void) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('error', onFault)
    socket.on('data', (chunk) => {
      this.#text += String(chunk)
      const head = this.#text.indexOf(HEAD_END)
      if (head < 0) return
      if (!this.#text.startsWith('HTTP/1.1 200')) onFault(new Error(`answered ${this.#text}`))
      const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1])
      if (this.#text.length < head + HEAD_END.length + length) return
      this.#text = ''
      this.#answered?.()
    })
  }

  ask(request: Buffer, answered: () => void): void {
    this.#answered = answered
    this.#socket.write(request)
  }

  close(): void {
    this.#socket.destroy()
  }
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { freePort } from './port.ts'

/** A port that stays while what is behind it changes, as a virtual address does, and the faults of the network between. */
export interface Relay {
  readonly port: number
  /** Where new connections lead. */
  pointTo(port: number): void
  /** Resets every connection and refuses new ones, until `resume`. */
  cut(): Promise<void>
  /** Lets connections be made, but nothing through, until `resume`. */
  hang(): void
  /** Undoes both; what was held back arrives. */
  resume(): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

export async function startRelay(targetPort: number): Promise<Relay> {
  const port = await freePort()
  const sockets = new Set<Socket>()
  let target = targetPort
  let hangs = false

  function forward(from: Socket, to: Socket): void {
    sockets.add(from)
    if (hangs) from.pause()
    from.on('data', (chunk) => {
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => {
      if (!hangs) from.resume()
    })
    from.on('end', () => to.end())
    from.on('error', () => to.resetAndDestroy())
    from.on('close', () => sockets.delete(from))
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    forward(client, upstream)
    forward(upstream, client)
  })

  const listen = async (): Promise<void> => {
    if (!server.listening) await once(server.listen(port, '127.0.0.1'), 'listening')
  }

  async function cut(): Promise<void> {
    const closed = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined
    for (const socket of sockets) socket.resetAndDestroy()
    await closed
  }

  await listen()
  return {
    port,
    pointTo(next) {
      target = next
    },
    cut,
    hang() {
      hangs = true
      for (const socket of sockets) socket.pause()
    },
    async resume() {
      hangs = false
      for (const socket of sockets) socket.resume()
      await listen()
    },
    close: cut,
  }
}

import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that systems hand out to connections, so that a server finds its port free when it starts again. */
const LOWEST = 15_000
const COUNT = 15_000

/** A port of the loopback that nothing listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * COUNT)
    const server = createServer()
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening')
    } catch {
      continue
    }
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

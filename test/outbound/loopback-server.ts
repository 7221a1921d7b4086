import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { type Caller, type CallerOptions, createCaller } from '../../src/outbound/caller.ts'

export interface LoopbackServer {
  readonly port: number
  readonly url: string
  readonly requests: readonly (Pick<IncomingMessage, 'method' | 'url' | 'headers'> & { readonly body: string })[]
  connections(): number
}

/** A server on loopback that is gone when the test is over. Answers `{}` unless told otherwise. */
export async function startServer(
  answer: RequestListener = (_, response) => response.end('{}'),
): Promise<LoopbackServer> {
  const requests: LoopbackServer['requests'][number][] = []
  let connections = 0
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      requests.push({ method: request.method, url: request.url, headers: request.headers, body })
      answer(request, response)
    })
  })
  server.on('connection', () => connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `http://127.0.0.1:${port}`, requests, connections: () => connections }
}

/** A caller that is closed when the test is over; its base is configured unless told otherwise. */
export function callerOf(baseUrl: string, options: Partial<CallerOptions> = {}): Caller {
  const caller = createCaller({
    baseUrl,
    baseIsConfigured: true,
    version: '1.2.3',
    maxAnswerBytes: 100_000,
    timeouts: { connectMs: 1_000, totalMs: 5_000 },
    ...options,
  })
  onTestFinished(() => caller.close())
  return caller
}

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { type ForwardOptions, forward } from 'holdfast'
import { type RunOptions, runHandler, sample } from 'holdfast/testing'
import { onTestFinished } from 'vitest'

export interface Received {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly received: readonly Received[]
  connections(): number
}

/** An HTTP service on loopback that is gone when the test is over. `answer` is called with each request, once its body has come. */
export async function startReceiver(
  answer: (response: ServerResponse, received: Received, request: IncomingMessage) => unknown,
): Promise<Receiver> {
  const received: Received[] = []
  let connections = 0
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const { method, url, headers } = request
      const one = { method, path: url, headers, body }
      received.push(one)
      return answer(response, one, request)
    })
  })
  server.on('connection', () => connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/hooks?key=query-secret`, port, received, connections: () => connections }
}

export const thing = () => sample('standard', 'acme.thing', { size: 3 })

export type Answer = Parameters<typeof startReceiver>[0]

/** A receiver that answers so, and a function that forwards one event to it. */
export async function receiverThat(answer: Answer, options: Partial<ForwardOptions> = {}) {
  const receiver = await startReceiver(answer)
  const handler = forward({ url: receiver.url, allowPrivate: true, ...options })
  return { receiver, send: (event = thing(), run?: RunOptions) => runHandler(handler, event, run) }
}

export const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (response) =>
    response.writeHead(code, headers).end(body)

import { createServer, type RequestListener, type Server } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { createTransport, TimeoutError, type Transport } from '../../src/cli/ops-transport.ts'

const LIMITS = { timeoutMs: 5_000, maxBytes: 1_000 }

async function serve(answer: RequestListener): Promise<{ origin: string; server: Server }> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => server.close().closeAllConnections())
  const address = server.address()
  return { server, origin: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` }
}

async function connect(limits: Partial<typeof LIMITS> = {}): Promise<Transport> {
  const transport = await createTransport('http:', { ...LIMITS, ...limits })
  onTestFinished(() => transport.destroy())
  return transport
}

const asked = (origin: string, method = 'GET', body: string | null = null) =>
  ({ origin, path: '/v1/events?limit=1', method, headers: { authorization: 'Bearer t' }, body }) as const

test('a request has its method, path, headers and body, and resolves with any answer', async () => {
  const { origin } = await serve((request, response) => {
    request.setEncoding('utf8')
    let body = ''
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () =>
      response.writeHead(409).end(`${request.method} ${request.url} ${request.headers.authorization} ${body}`),
    )
  })
  const { statusCode, bytes } = await (await connect()).request(asked(origin, 'POST', '{"ü":1}'))
  expect({ statusCode, text: bytes.toString() }).toEqual({
    statusCode: 409,
    text: 'POST /v1/events?limit=1 Bearer t {"ü":1}',
  })
})

test.each([
  ['no answer begins', () => {}],
  ['an answer stops halfway', (_, response) => response.writeHead(200).write('half')],
] satisfies [string, RequestListener][])('a request rejects with a TimeoutError where %s', async (_, answer) => {
  const { origin } = await serve(answer)
  const transport = await connect({ timeoutMs: 50 })
  await expect(transport.request(asked(origin))).rejects.toBeInstanceOf(TimeoutError)
})

test('a request rejects where the answer is larger than its limit', async () => {
  const { origin } = await serve((_, response) => response.end('x'.repeat(2_000)))
  await expect((await connect()).request(asked(origin))).rejects.toThrow('larger than 1000 bytes')
})

test('requests use one connection, and a GET is repeated where the service has just closed it', async () => {
  let connections = 0
  let requests = 0
  const { origin, server } = await serve((request, response) => {
    if (++requests === 3) request.socket.resetAndDestroy()
    else response.end('ok')
  })
  server.on('connection', () => connections++)
  const transport = await connect()
  for (let count = 0; count < 3; count++) expect((await transport.request(asked(origin))).bytes.toString()).toBe('ok')
  expect(connections).toBe(2)
})

test('a request that is open rejects when the transport is destroyed', async () => {
  const transport = await connect()
  const { origin } = await serve(() => transport.destroy())
  await expect(transport.request(asked(origin))).rejects.toThrow('the command has ended')
})

import { once } from 'node:events'
import { createServer, isIP, type LookupFunction } from 'node:net'
import { forward } from 'holdfast'
import { runHandler } from 'holdfast/testing'
import { Webhook } from 'standardwebhooks'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readTarget } from '../../src/forward/options.ts'
import { createSender } from '../../src/forward/sender.ts'
import { type Answer, receiverThat, startReceiver, status, thing } from './receiver.ts'

const SECRET = `whsec_${Buffer.from('a key for tests, of 32 bytes....').toString('base64')}`
describe('a forwarded event', () => {
  test('comes with its exact bytes, its content type and headers that say what it is', async () => {
    const { receiver, send } = await receiverThat(status(204), { headers: { 'X-Team': 'orders' } })
    const body = Buffer.concat([
      Buffer.from('{"type":"acme.thing","data":{"text":"'),
      Buffer.from([0xc3, 0xa9]),
      Buffer.from('"}}\n'),
    ])
    const event = { ...thing(), body, headers: { 'content-type': 'application/json; charset=utf-8' } }
    const run = await send(event, { event: { uid: 'uid-1', type: 'größe 100%' }, source: 'shop', attempt: 2 })
    expect(run).toMatchObject({ outcome: 'succeeded', logs: [] })
    const [{ headers, ...request } = { headers: {} }] = receiver.received
    expect(request).toEqual({ method: 'POST', path: '/hooks?key=query-secret', body })
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'webhook-id': 'uid-1',
      'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
      'holdfast-source': 'shop',
      'holdfast-type': 'gr%C3%B6%C3%9Fe 100%25',
      'holdfast-attempt': '2',
      'user-agent': expect.stringMatching(/^holdfast\//),
      'x-team': 'orders',
      'content-length': String(body.length),
    })
    expect(headers).not.toHaveProperty('webhook-signature')
  })

  test.each([
    ['whsec_', SECRET, new Webhook(SECRET)],
    ['text', 'any words: what you like', new Webhook('any words: what you like', { format: 'raw' })],
    ['base64 without whsec_', SECRET.slice(6), new Webhook(SECRET.slice(6))],
    ['the same, taken as text', SECRET.slice(6), new Webhook(SECRET.slice(6), { format: 'raw' })],
    ['the newer of two secrets', ['new words', SECRET], new Webhook('new words', { format: 'raw' })],
    ['the older of two secrets', ['new words', SECRET], new Webhook(SECRET)],
  ])('is verified by the package standardwebhooks, with a secret that is %s', async (_form, secret, webhook) => {
    const { receiver, send } = await receiverThat(
      (response, { headers, body }) => {
        webhook.verify(body, headers as Record<string, string>)
        response.end()
      },
      { secret },
    )
    expect(await send(thing(), { event: { uid: 'uid-1' } })).toMatchObject({ outcome: 'succeeded' })
    const headers = receiver.received[0]?.headers ?? {}
    expect(headers['webhook-id']).toBe('uid-1')
    expect(() => new Webhook('another', { format: 'raw' }).verify('{}', headers as Record<string, string>)).toThrow()
  })

  test('that is sent again and again uses one connection, and many at once use a bounded number', async () => {
    const { receiver, send } = await receiverThat(status(200, {}, 'ok'))
    for (let n = 0; n < 5; n++) await send()
    expect(receiver.connections()).toBe(1)
    const runs = await Promise.all(Array.from({ length: 100 }, () => send()))
    expect(new Set(runs.map(({ outcome }) => outcome))).toEqual(new Set(['succeeded']))
    expect(receiver.connections()).toBeLessThanOrEqual(64)
  })
})

describe('the answer of the service', () => {
  test.each([200, 201, 204, 299])('%i is success', async (code) => {
    expect(await (await receiverThat(status(code))).send()).toMatchObject({ outcome: 'succeeded' })
  })

  test.each([
    [410, undefined],
    [422, [400, 422]],
    [410, [422]],
    [429, [429]],
  ])('%i is final, with finalStatuses %j, also with Retry-After', async (code, finalStatuses) => {
    const { send } = await receiverThat(
      status(code, { 'retry-after': '7' }, 'not here'),
      finalStatuses && { finalStatuses },
    )
    expect(await send()).toMatchObject({ outcome: 'dead', error: expect.stringMatching(`answered ${code}: not here$`) })
  })

  test.each([400, 404, 422, 429, 500, 503])('%i is a failure that is retried as usual', async (code) => {
    const { send } = await receiverThat(status(code, {}, 'out of\u0007\r\n\r\nstock'))
    const { outcome, error } = await send()
    expect(outcome).toBe('failed')
    expect(error).toMatch(new RegExp(`^http://127.0.0.1:\\d+ answered ${code}: out of stock$`))
  })

  test.each([
    [429, '7', 7_000, 7_000],
    [503, '0.5', 500, 500],
    [404, '99999999999', 7 * 86_400_000, 7 * 86_400_000],
    [503, new Date(Date.now() + 3_600_000).toUTCString(), 3_500_000, 3_600_000],
  ])('%i with Retry-After: %s makes the delivery wait that long', async (code, retryAfter, least, most) => {
    const { send } = await receiverThat(status(code, { 'retry-after': retryAfter }, 'busy'))
    const { outcome, retryAfterMs, logs } = await send()
    expect(outcome).toBe('retry')
    expect(retryAfterMs).toBeGreaterThanOrEqual(least)
    expect(retryAfterMs).toBeLessThanOrEqual(most)
    expect(logs).toMatchObject([
      { level: 'warn', status: code, error: expect.stringContaining(`answered ${code}: busy`) },
    ])
  })

  test.each(['0', 'soon', 'Sun, 06 Nov 1994 08:49:37 GMT', '-5'])(
    'with Retry-After: %s is a failure as any other',
    async (value) => {
      const { send } = await receiverThat(status(429, { 'retry-after': value }))
      expect(await send()).toMatchObject({ outcome: 'failed' })
    },
  )

  test.each([301, 302, 303, 307, 308])('%i is a failure that names the host, and is not followed', async (code) => {
    const other = await startReceiver(status(200))
    const { send } = await receiverThat(status(code, { location: `${other.url}&token=abc`, 'retry-after': '7' }))
    const { outcome, error } = await send()
    expect(outcome).toBe('failed')
    expect(error).toMatch(
      new RegExp(`answered ${code} and leads to 127.0.0.1:${other.port}: redirects are not followed$`),
    )
    expect(other.received).toEqual([])
  })

  test('may repeat the whole request, but no secret of it gets into an error or a log', async () => {
    const { send } = await receiverThat(
      (response, { headers }) => {
        const { authorization, 'x-api-key': key } = headers
        const body = JSON.stringify({ authorization, key, secret: SECRET, query: 'query-secret' })
        response.writeHead(Number(headers['holdfast-attempt']) > 1 ? 429 : 500, { 'retry-after': '1' }).end(body)
      },
      { secret: SECRET, headers: { authorization: 'Bearer my-own-token', 'x-api-key': 'my-own-key' } },
    )
    for (const attempt of [1, 2]) {
      const run = await send(thing(), { attempt })
      expect(run.answer?.text).toContain('[redacted]')
      const said = JSON.stringify(run)
      expect(said.split('[redacted]').length).toBeGreaterThan(4)
      expect(said).not.toMatch(/my-own-token|my-own-key|query-secret/)
      expect(said).not.toContain(SECRET.slice(6, 20))
    }
  })

  test('is read in part only: a long one counts by its status, and its excerpt is short', async () => {
    const closed = Promise.withResolvers<number>()
    const endless: Answer = (response, { headers }, { socket }) => {
      response.writeHead(headers['holdfast-attempt'] === '1' ? 200 : 500)
      const write = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      }
      response.on('drain', write)
      response.on('close', () => closed.resolve(socket.bytesWritten))
      write()
    }
    const { send } = await receiverThat(endless)
    expect(await send()).toMatchObject({ outcome: 'succeeded' })
    // What the sockets buffer comes on top of what is read.
    expect(await closed.promise).toBeLessThan(16 * 1_048_576)
    const { outcome, error = '' } = await send(thing(), { attempt: 2 })
    expect(outcome).toBe('failed')
    expect(error.length).toBeLessThan(300)
  })

  test('counts by its status also if its body never ends or breaks', async () => {
    const { send } = await receiverThat((response, { headers }) => {
      const isFirst = headers['holdfast-attempt'] === '1'
      response.writeHead(200).write('begun', () => isFirst && response.destroy())
    })
    expect(await send()).toMatchObject({ outcome: 'succeeded' })
    expect(await send(thing(), { attempt: 2 })).toMatchObject({ outcome: 'succeeded' })
  })
})

describe('a service that does not answer', () => {
  test('in timeoutMs fails the attempt, and the request is ended', async () => {
    const ended = Promise.withResolvers<void>()
    const { send } = await receiverThat((response) => response.on('close', ended.resolve), {
      timeoutMs: 500,
    })
    const { outcome, error } = await send()
    expect(outcome).toBe('failed')
    expect(error).toMatch(/^http:\/\/127.0.0.1:\d+: No whole answer came within 500 ms\.$/)
    await ended.promise
  })

  test('until the deadline of the handler has its request ended by the signal', async () => {
    const ended = Promise.withResolvers<void>()
    const { send } = await receiverThat((response) => response.on('close', ended.resolve))
    // Long enough for the request to arrive on a machine that is busy.
    const run = await send(thing(), { timeoutMs: 500 })
    expect(run).toMatchObject({ outcome: 'failed', error: 'the handler passed its deadline' })
    await ended.promise
  })

  test('because it resets the connection fails the attempt', async () => {
    const { send } = await receiverThat((_response, _received, { socket }) => socket.resetAndDestroy())
    const { outcome, error } = await send()
    expect(outcome).toBe('failed')
    expect(error).toMatch(
      /^http:\/\/127.0.0.1:\d+: The connection broke before the whole answer had come \((ECONNRESET|UND_ERR_SOCKET)\)\.$/,
    )
  })

  test('because nothing listens there fails the attempt', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const run = await runHandler(forward({ url: `http://127.0.0.1:${port}`, allowPrivate: true }), thing())
    expect(run).toMatchObject({ outcome: 'failed', error: expect.stringMatching(/No connection .*ECONNREFUSED/) })
  })

  test('because it is no HTTP service fails the attempt', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-x\r\n'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const run = await runHandler(forward({ url: `http://127.0.0.1:${port}`, allowPrivate: true }), thing())
    expect(run).toMatchObject({ outcome: 'failed', error: expect.stringContaining('The connection broke') })
  })
})

describe('a name that leads to a private address', () => {
  test.each(['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', 'fd00:ec2::254'])(
    'is refused for %s when the event comes, and nothing connects',
    async (address) => {
      const receiver = await startReceiver(status(200))
      const lookup: LookupFunction = (_name, _options, callback) => callback(null, [{ address, family: isIP(address) }])
      const target = { ...readTarget({ url: `http://orders.example.com:${receiver.port}` }), lookup }
      const { outcome, error } = await runHandler(createSender(target), thing())
      expect(outcome).toBe('failed')
      expect(error).toBe(
        `http://orders.example.com:${receiver.port}: orders.example.com leads to an address that is not on the public internet. allowPrivate: true allows addresses of private networks.`,
      )
      expect(receiver.connections()).toBe(0)
    },
  )

  test('is reached with allowPrivate, except under the addresses where clouds give out credentials', async () => {
    const receiver = await startReceiver(status(200))
    const to = async (address: string) => {
      const lookup: LookupFunction = (_name, _options, callback) => callback(null, [{ address, family: 4 }])
      const target = readTarget({ url: `http://orders.example.com:${receiver.port}`, allowPrivate: true })
      const reached = { ...target, lookup }
      return (await runHandler(createSender(reached), thing())).outcome
    }
    expect(await to('127.0.0.1')).toBe('succeeded')
    expect(await to('169.254.169.254')).toBe('failed')
  })
})

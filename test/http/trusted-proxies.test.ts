import { describe, expect, test } from 'vitest'
import type { Receive } from '../../src/domain/receive.ts'
import { exchangeOne, requestText } from './exchange.ts'
import { startPublic } from './public-service.ts'

const send = (port: number, headers: readonly string[]) =>
  exchangeOne(port, requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2', ...headers], '{}'))

const TWO = ['127.0.0.1', '192.0.2.0/24']
const ONE = ['127.0.0.1']
const FORWARDED = 'X-Forwarded-For: 203.0.113.9'

describe('where HTTPS is required, the scheme of a webhook', () => {
  test.each([
    ['the client’s, given by one proxy', ONE, '203.0.113.9', 'https', 200],
    ['the client’s, given by one proxy', ONE, '203.0.113.9', 'http', 426],
    ['the client’s, before a second proxy that was reached by http', TWO, '203.0.113.9, 192.0.2.1', 'https,http', 200],
    ['the client’s, before a second proxy that was reached by https', TWO, '203.0.113.9, 192.0.2.1', 'http,https', 426],
    [
      'the last one that a trusted proxy gave, whatever the client sent',
      ONE,
      '198.51.100.1, 203.0.113.9',
      'https, http',
      426,
    ],
    [
      'the last one that a trusted proxy gave, whatever the client sent',
      ONE,
      '198.51.100.1, 203.0.113.9',
      'http, HTTPS',
      200,
    ],
    ['the client’s, also where a proxy names ports', TWO, '203.0.113.9:41, 192.0.2.1:42', 'https,http', 200],
    ['the client’s, also where a proxy names ports', TWO, '203.0.113.9:41, 192.0.2.1:42', 'http,https', 426],
    ['the single value that two proxies hand on', TWO, '203.0.113.9, 192.0.2.1', 'https', 200],
    ['the first of several, where X-Forwarded-For is missing', ONE, undefined, 'https,http', 200],
    ['the first of several, where X-Forwarded-For is missing', ONE, undefined, 'http,https', 426],
    ['unknown where X-Forwarded-Proto is empty', ONE, '203.0.113.9', '', 426],
    ['unknown where no trusted proxy gave it', ['10.0.0.0/8'], '203.0.113.9', 'https', 426],
  ])(
    'is %s (trusted proxies %j, X-Forwarded-For %s, X-Forwarded-Proto %s), so that the service answers %i',
    async (_which, trustProxy, client, proto, status) => {
      const service = await startPublic({ requireHttps: true, trustProxy })
      const headers = [`X-Forwarded-Proto: ${proto}`, ...(client === undefined ? [] : [`X-Forwarded-For: ${client}`])]
      expect((await send(service.port, headers)).status).toBe(status)
    },
  )
})

test('a webhook is received from the client that the trusted proxies name, or from its peer', async () => {
  const from: (string | undefined)[] = []
  const receive: Receive = async ({ receivedFrom }) => {
    from.push(receivedFrom)
    return { outcome: 'accepted', uid: '01a21e73-f82c-721e-bd96-b0f62aead455' }
  }
  const trusting = await startPublic({ receive, trustProxy: ONE })
  await send(trusting.port, [FORWARDED])
  await send((await startPublic({ receive })).port, [FORWARDED])
  expect(from).toEqual(['203.0.113.9', '127.0.0.1'])
  for (const client of ['::FFFF:203.0.113.9', '::ffff:cb00:7109'])
    await send(trusting.port, [`X-Forwarded-For: ${client}`])
  expect(from.slice(2)).toEqual(['203.0.113.9', '::ffff:cb00:7109'])
})

describe('the log line of a refused webhook', () => {
  const refused = { receive: async () => ({ outcome: 'timestamp_stale', aheadMs: -420_300 }) as const }

  test('names the peer, and by how much the timestamp was off', async () => {
    const service = await startPublic(refused)
    await send(service.port, ['X-Forwarded-For: 203.0.113.9'])
    expect(service.logged).toEqual([
      expect.objectContaining({ outcome: 'timestamp_stale', peer: '127.0.0.1', timestamp_ahead_seconds: -420 }),
    ])
    expect(service.logged[0]).not.toHaveProperty('client')
  })

  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['198.51.100.1, 203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:4711', '203.0.113.9'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['no address', undefined],
    [`1${'0'.repeat(5_000)}`, undefined],
  ])('names the client that a trusted proxy gives as %s', async (header, client) => {
    const service = await startPublic({ ...refused, trustProxy: ONE })
    await send(service.port, [`X-Forwarded-For: ${header}`])
    expect(service.logged).toEqual([expect.objectContaining({ peer: '127.0.0.1' })])
    expect(service.logged[0]?.client).toBe(client)
  })

  test('skips trusted proxies that are named with a port', async () => {
    const service = await startPublic({ ...refused, trustProxy: TWO })
    await send(service.port, ['X-Forwarded-For: 203.0.113.9:41, 192.0.2.1:42'])
    expect(service.logged).toEqual([expect.objectContaining({ peer: '127.0.0.1', client: '203.0.113.9' })])
  })

  test.each([
    ['whose URL cannot be decoded', requestText('POST', '/v1/webhooks/%zz', ['Content-Length: 2', FORWARDED], '{}')],
    ['that names two hosts', requestText('POST', '/v1/webhooks/ai', ['Host: b', 'Content-Length: 2', FORWARDED], '{}')],
    ['that expects something unknown', requestText('POST', '/v1/webhooks/ai', ['Expect: tea', FORWARDED])],
  ])('names the client of a request %s', async (_which, text) => {
    const service = await startPublic({ trustProxy: ONE })
    await exchangeOne(service.port, text)
    expect(service.logged).toEqual([expect.objectContaining({ peer: '127.0.0.1', client: '203.0.113.9' })])
  })

  test.each([
    ['that is no HTTP', 'this is no HTTP\r\n\r\n'],
    ['that names two hosts', requestText('POST', '/v1/webhooks/ai', ['Host: b', 'Content-Length: 2'], '{}')],
  ])('names the peer of a request %s', async (_which, text) => {
    const service = await startPublic()
    await exchangeOne(service.port, text)
    expect(service.logged).toEqual([expect.objectContaining({ outcome: 'malformed', peer: '127.0.0.1' })])
  })
})

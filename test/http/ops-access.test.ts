import { describe, expect, test } from 'vitest'
import { exchangeOne } from './exchange.ts'
import { detailOf, opsAccess, shareOps, startOps } from './ops-service.ts'

const TOKEN = 'correct-horse-battery-staple'
const PROTECTED = [
  '/v1/events',
  '/v1/deliveries',
  '/v1/sources',
  '/v1/handlers',
  '/metrics',
  '/openapi.json',
  '/nowhere',
]

const bearing = (token: string, scheme = 'Bearer') => ({ headers: { authorization: `${scheme} ${token}` } })

describe('an ops listener with a token', () => {
  const ops = shareOps({ access: opsAccess({ tokens: [TOKEN] }) })

  test.each(PROTECTED)('asks for the token at %s', async (path) => {
    const { get } = ops()
    const answer = await get(path)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="holdfast"')
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect((await get(path, bearing(TOKEN))).status).toBe(path === '/nowhere' ? 404 : 200)
  })

  test.each(['', 'wrong', `${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase()])(
    'refuses the token "%s"',
    async (token) => {
      const { get } = ops()
      expect((await get('/v1/sources', bearing(token))).status).toBe(401)
    },
  )

  test('answers a wrong token with invalid_token', async () => {
    const { get } = ops()
    const answer = await get('/v1/sources', bearing('wrong'))
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  test('reads the scheme Bearer in either case, and takes no other scheme', async () => {
    const { get } = ops()
    expect((await get('/v1/sources', bearing(TOKEN, 'bearer'))).status).toBe(200)
    expect((await get('/v1/sources', bearing(TOKEN, 'Basic'))).status).toBe(401)
    expect((await get(`/v1/sources?token=${TOKEN}`)).status).toBe(401)
  })

  test('answers health checks without the token', async () => {
    const { get } = ops()
    expect((await get('/livez')).status).toBe(200)
    expect((await get('/readyz')).status).toBe(200)
  })

  test('answers /metrics without the token where metrics are open, and nothing else', async () => {
    const { get } = await startOps({ access: opsAccess({ tokens: [TOKEN] }), metricsOpen: true })
    expect((await get('/metrics')).status).toBe(200)
    expect((await get('/v1/events')).status).toBe(401)
  })

  test('serves programs that have the token under any host name, as a scrape by the name of a service', async () => {
    const { port } = ops()
    for (const host of ['ops.example', 'holdfast.monitoring:8081', 'holdfast'])
      expect((await asked(port, host, '/v1/sources', [`Authorization: Bearer ${TOKEN}`])).status, host).toBe(200)
  })

  test('serves a browser only under an address, a local name or a name that is allowed', async () => {
    const allowed = await startOps({ access: opsAccess({ tokens: [TOKEN], allowedHosts: ['ops.example'] }) })
    const browser = [`Authorization: Bearer ${TOKEN}`, 'Sec-Fetch-Site: same-origin']
    for (const host of [
      '10.1.2.3:8081',
      '[fe80::1]:8081',
      'localhost',
      'holdfast',
      'a.b.svc.cluster.local',
      'OPS.example:80',
    ])
      expect((await asked(allowed.port, host, '/v1/sources', browser)).status, host).toBe(200)
    for (const host of ['evil.example', 'ops.example.evil.example', '10.1.2.3.evil.example', ''])
      expect((await asked(allowed.port, host, '/v1/sources', browser)).status, host).toBe(421)
  })

  test('refuses what a page of another site asks for, even with the token', async () => {
    const { port } = ops()
    const bearer = `Authorization: Bearer ${TOKEN}`
    for (const headers of [
      ['Origin: https://evil.example'],
      ['Origin: null'],
      ['Sec-Fetch-Site: cross-site'],
      ['Sec-Fetch-Site: same-site', 'Origin: https://localhost'],
    ])
      expect((await asked(port, 'localhost', '/v1/sources', [bearer, ...headers])).status, String(headers)).toBe(403)
  })

  test('takes a page behind a proxy that speaks https, and one that replaces the host, for its own', async () => {
    const { port } = await startOps({ access: opsAccess({ tokens: [TOKEN], allowedHosts: ['ops.example'] }) })
    const own = [`Authorization: Bearer ${TOKEN}`, 'Origin: https://ops.example', 'Sec-Fetch-Site: same-origin']
    for (const host of ['ops.example', 'holdfast:8081'])
      expect((await asked(port, host, '/v1/sources', own)).status, host).toBe(200)
  })

  test('lets open metrics be scraped under any host name, but not by a page under a foreign name', async () => {
    const { port } = await startOps({ access: opsAccess({ tokens: [TOKEN] }), metricsOpen: true })
    expect((await asked(port, 'holdfast.monitoring:8081', '/metrics')).status).toBe(200)
    const page = ['Accept-Language: en', 'User-Agent: Mozilla/5.0']
    expect((await asked(port, 'evil.example:8081', '/metrics', page)).status).toBe(421)
    expect((await asked(port, 'holdfast:8081', '/metrics', page)).status).toBe(200)
    expect((await asked(port, 'evil.example:8081', '/livez', page)).status).toBe(200)
  })
})

describe('an ops listener with several tokens', () => {
  const [NEW, OLD, READ] = ['the-new-one-of-operators', 'the-old-one-of-operators', 'the-one-for-dashboards']
  const ops = shareOps({ access: opsAccess({ tokens: [NEW, OLD], readTokens: [READ] }) })
  const replay = '/v1/events/01890000-0000-7000-8000-000000000001/replay'

  test('accepts each of them', async () => {
    const { get } = ops()
    for (const token of [NEW, OLD, READ]) expect((await get('/v1/sources', bearing(token))).status).toBe(200)
    for (const token of [NEW, OLD]) expect((await get(replay, { method: 'POST', ...bearing(token) })).status).toBe(404)
  })

  test('lets a token that only reads read everything, and refuses all that changes something or calls a provider', async () => {
    const { get } = ops()
    const reading = bearing(READ)
    for (const path of ['/v1/events', '/v1/audit', '/v1/handlers', '/v1/retention', '/metrics', '/openapi.json'])
      expect((await get(path, reading)).status, path).toBe(200)
    for (const [method, path] of [
      ['POST', replay],
      ['DELETE', '/v1/tasks/ai/a'],
      ['PATCH', '/v1/registrations/ai/a'],
      ['GET', '/v1/registrations'],
    ] as const) {
      const answer = await get(path, { method, ...reading })
      expect(await detailOf(answer, 403), path).toContain('use OPS_TOKEN')
    }
    expect((await get('/nowhere', { method: 'POST', ...reading })).status).toBe(404)
  })
})

const asked = (port: number, host: string, path: string, headers: readonly string[] = []) =>
  exchangeOne(port, [`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...headers, '', ''].join('\r\n'))

describe('an ops listener without a token', () => {
  const ops = shareOps()

  const ask = (port: number, host: string, path = '/v1/sources', method = 'GET', headers: readonly string[] = []) =>
    exchangeOne(
      port,
      [
        `${method} ${path} HTTP/1.1`,
        `Host: ${host}`,
        'Connection: close',
        ...headers,
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n'),
    )

  test.each(['localhost', 'localhost:8081', 'LOCALHOST', '127.0.0.1:8081', '127.1.2.3', '[::1]:8081'])(
    'serves the host %s',
    async (host) => {
      const { port } = ops()
      expect((await ask(port, host)).status).toBe(200)
    },
  )

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', 'evil@localhost', ''])(
    'refuses the host "%s", which a web page may have pointed at this machine',
    async (host) => {
      const { port } = ops()
      expect((await ask(port, host)).status).toBe(421)
      expect((await ask(port, host, '/livez')).status).toBe(200)
    },
  )

  const replay = '/v1/events/01890000-0000-7000-8000-000000000001/replay'
  const registrations = '/v1/registrations'
  const FOREIGN = [
    ['Origin: https://evil.example'],
    ['Origin: null'],
    ['Origin: http://localhost:3000'],
    ['Sec-Fetch-Site: cross-site'],
    ['Sec-Fetch-Site: same-site'],
    ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image'],
    ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe'],
  ]
  const LINK = ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document']

  test.each(FOREIGN)(
    'refuses all that another site requests with "%s": posts, calls to providers and searches',
    async (...headers) => {
      const { port } = ops()
      const paths = [
        registrations,
        '/v1/sources',
        '/v1/events?q=a',
        '/v1/tasks/ai/a?wait=300',
        '/metrics',
        '/openapi.json',
      ]
      for (const path of paths) expect((await ask(port, 'localhost:8081', path, 'GET', headers)).status, path).toBe(403)
      expect((await ask(port, 'localhost:8081', replay, 'POST', headers)).status).toBe(403)
      expect((await ask(port, 'localhost:8081', '/v1/tasks/ai/a', 'DELETE', headers)).status).toBe(403)
      expect((await ask(port, 'localhost:8081', '/readyz', 'GET', headers)).status).toBe(200)
    },
  )

  test('lets a link on another site open a page that only reads, and none that calls a provider or changes something', async () => {
    const { port } = ops()
    expect((await ask(port, 'localhost:8081', '/v1/sources', 'GET', LINK)).status).toBe(200)
    expect((await ask(port, 'localhost:8081', registrations, 'GET', LINK)).status).toBe(403)
    expect((await ask(port, 'localhost:8081', replay, 'POST', LINK)).status).toBe(403)
  })

  test.each([[[]], [['Origin: http://localhost:8081', 'Sec-Fetch-Site: same-origin']], [['Sec-Fetch-Site: none']]])(
    'serves requests with the headers “%s”, which only its own pages or no page sends',
    async (headers) => {
      const { port } = ops()
      expect((await ask(port, 'localhost:8081', replay, 'POST', headers)).status).toBe(404)
      expect((await ask(port, 'localhost:8081', registrations, 'GET', headers)).status).toBe(200)
    },
  )

  test('refuses calls to a provider under a host name that a page has pointed at this machine', async () => {
    const { port } = ops()
    const own = ['Origin: http://evil.example:8081', 'Sec-Fetch-Site: same-origin']
    expect((await ask(port, 'evil.example:8081', registrations, 'GET', own)).status).toBe(421)
    expect((await ask(port, 'evil.example:8081', registrations, 'GET', ['X-Forwarded-Host: localhost'])).status).toBe(
      421,
    )
  })
})

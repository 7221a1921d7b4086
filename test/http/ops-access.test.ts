import { describe, expect, test } from 'vitest'
import { exchangeOne } from './exchange.ts'
import { shareOps, startOps } from './ops-service.ts'

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
  const ops = shareOps({ token: TOKEN })

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
    const { get } = await startOps({ token: TOKEN, metricsOpen: true })
    expect((await get('/metrics')).status).toBe(200)
    expect((await get('/v1/events')).status).toBe(401)
  })

  test('serves any host name', async () => {
    const { port } = ops()
    const text = `GET /v1/sources HTTP/1.1\r\nHost: ops.example\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`
    expect((await exchangeOne(port, text)).status).toBe(200)
  })
})

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

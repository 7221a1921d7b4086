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

describe('with a token', () => {
  const ops = shareOps({ token: TOKEN })

  test.each(PROTECTED)('%s asks for it', async (path) => {
    const { get } = ops()
    const answer = await get(path)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="holdfast"')
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect((await get(path, bearing(TOKEN))).status).toBe(path === '/nowhere' ? 404 : 200)
  })

  test.each(['', 'wrong', `${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase()])('"%s" is not it', async (token) => {
    const { get } = ops()
    expect((await get('/v1/sources', bearing(token))).status).toBe(401)
  })

  test('a wrong one is told apart from none', async () => {
    const { get } = ops()
    const answer = await get('/v1/sources', bearing('wrong'))
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  test('the scheme is read in either case, and no other scheme is', async () => {
    const { get } = ops()
    expect((await get('/v1/sources', bearing(TOKEN, 'bearer'))).status).toBe(200)
    expect((await get('/v1/sources', bearing(TOKEN, 'Basic'))).status).toBe(401)
    expect((await get(`/v1/sources?token=${TOKEN}`)).status).toBe(401)
  })

  test('health needs none', async () => {
    const { get } = ops()
    expect((await get('/livez')).status).toBe(200)
    expect((await get('/readyz')).status).toBe(200)
  })

  test('/metrics needs none where they are open; nothing else opens with them', async () => {
    const { get } = await startOps({ token: TOKEN, metricsOpen: true })
    expect((await get('/metrics')).status).toBe(200)
    expect((await get('/v1/events')).status).toBe(401)
  })

  test('any host name will do', async () => {
    const { port } = ops()
    const text = `GET /v1/sources HTTP/1.1\r\nHost: ops.example\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`
    expect((await exchangeOne(port, text)).status).toBe(200)
  })
})

describe('without a token', () => {
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
    'host %s is served',
    async (host) => {
      const { port } = ops()
      expect((await ask(port, host)).status).toBe(200)
    },
  )

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', 'evil@localhost', ''])(
    'host "%s" is not: a page may have pointed its own name here',
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
    'nothing that another site asks with "%s" is done: no post, no call to a provider, no search',
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

  test('a link on another site leads to what merely reads, and to nothing that calls out or acts', async () => {
    const { port } = ops()
    expect((await ask(port, 'localhost:8081', '/v1/sources', 'GET', LINK)).status).toBe(200)
    expect((await ask(port, 'localhost:8081', registrations, 'GET', LINK)).status).toBe(403)
    expect((await ask(port, 'localhost:8081', replay, 'POST', LINK)).status).toBe(403)
  })

  test.each([[[]], [['Origin: http://localhost:8081', 'Sec-Fetch-Site: same-origin']], [['Sec-Fetch-Site: none']]])(
    'what no page asks, or one of its own, is served: %s',
    async (headers) => {
      const { port } = ops()
      expect((await ask(port, 'localhost:8081', replay, 'POST', headers)).status).toBe(404)
      expect((await ask(port, 'localhost:8081', registrations, 'GET', headers)).status).toBe(200)
    },
  )

  test('no name that a page has pointed here reaches what calls out', async () => {
    const { port } = ops()
    const own = ['Origin: http://evil.example:8081', 'Sec-Fetch-Site: same-origin']
    expect((await ask(port, 'evil.example:8081', registrations, 'GET', own)).status).toBe(421)
    expect((await ask(port, 'evil.example:8081', registrations, 'GET', ['X-Forwarded-Host: localhost'])).status).toBe(
      421,
    )
  })
})

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

  test.each([
    ['Origin: https://evil.example'],
    ['Origin: null'],
    ['Origin: http://localhost:3000'],
    ['Sec-Fetch-Site: cross-site'],
    ['Sec-Fetch-Site: same-site'],
  ])('a post with "%s" is refused', async (header) => {
    const { port } = ops()
    expect((await ask(port, 'localhost:8081', replay, 'POST', [header])).status).toBe(403)
  })

  test.each([[[]], [['Origin: http://localhost:8081', 'Sec-Fetch-Site: same-origin']]])(
    'a post from no page, or from one of its own, is served: %s',
    async (headers) => {
      const { port } = ops()
      expect((await ask(port, 'localhost:8081', replay, 'POST', headers)).status).toBe(404)
    },
  )
})

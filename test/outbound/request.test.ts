import { describe, expect, test, vi } from 'vitest'
import type { ApiRequest, ReadyRequest } from '../../src/domain/outbound.ts'
import { plainResult } from '../../src/pipeline/module-results.ts'
import { callerOf, startServer } from './loopback-server.ts'

/** What a module makes, as it is handed on. */
const ready = (request: ApiRequest) => plainResult('tasks.poll', request) as ReadyRequest

describe('an outbound request', () => {
  test('goes to its path below the path of the base URL, with its query unchanged', async () => {
    const server = await startServer()
    const { call } = callerOf(`${server.url}/v1/`)
    await call({ method: 'GET', path: '/tasks/a%2Fb%20c//d', query: { after: 'x&y', limit: '2' } })
    expect(server.requests[0]).toMatchObject({ method: 'GET', url: '/v1/tasks/a%2Fb%20c//d?after=x%26y&limit=2' })
    expect(server.requests[0]?.headers['content-type']).toBeUndefined()
  })

  const dotted = '/tasks/.. /tasks/. /../admin /./x /tasks/%2e%2E/x /tasks/.%2e /a%2F..%2Fb /a%5c..'.split(' ')
  const unescaped = ['', 'tasks', '/a b', '/a?b', '/a#b', '/a\\b', '/ä', '/%zz', '/a\r\nx: y']

  test.each([...dotted, ...unescaped])('whose path is %j is not sent', async (path) => {
    const server = await startServer()
    const answer = await callerOf(`${server.url}/v1`).call({ method: 'GET', path })
    expect(answer).toMatchObject({ ok: false, failure: 'forbidden_address' })
    expect(server.connections()).toBe(0)
  })

  test('may have dots within a segment', async () => {
    const server = await startServer()
    await callerOf(server.url).call({ method: 'DELETE', path: '/models/gpt-4.1/...' })
    expect(server.requests[0]).toMatchObject({ method: 'DELETE', url: '/models/gpt-4.1/...' })
  })

  test('carries the headers of its base and its own, which take precedence', async () => {
    const server = await startServer()
    const { call } = callerOf(server.url, { headers: { Authorization: 'Bearer sk-1', 'X-Version': '1' } })
    await call({
      method: 'GET',
      path: '/',
      headers: { 'x-version': '2', 'Idempotency-Key': 'k', Accept: 'text/plain' },
    })
    expect(server.requests[0]?.headers).toMatchObject({
      authorization: 'Bearer sk-1',
      'x-version': '2',
      'idempotency-key': 'k',
      accept: 'text/plain',
      'accept-encoding': 'identity',
      'user-agent': 'holdfast/1.2.3',
    })
  })

  test('sends JSON', async () => {
    const server = await startServer()
    await callerOf(server.url).call(ready({ method: 'POST', path: '/tasks', json: { prompt: 'grün', n: null } }))
    const { headers, body } = server.requests[0] ?? {}
    expect(headers).toMatchObject({ 'content-type': 'application/json', accept: 'application/json' })
    expect(body).toBe('{"prompt":"grün","n":null}')
  })

  test('sends a form, in which a name may be repeated', async () => {
    const server = await startServer()
    const form = [
      ['enabled_events[]', 'a'],
      ['enabled_events[]', 'b&c'],
      ['url', 'https://x/?y=z'],
    ] as const
    await callerOf(server.url).call(ready({ method: 'POST', path: '/', form }))
    const { headers, body } = server.requests[0] ?? {}
    expect(headers?.['content-type']).toBe('application/x-www-form-urlencoded')
    expect([...new URLSearchParams(body)]).toEqual(form)
  })

  test('that cannot be sent fails with an error that quotes nothing of it', async () => {
    const server = await startServer()
    const { call } = callerOf(server.url, { headers: { authorization: 'Bearer sk-1\r\nx' } })
    const message = 'The request cannot be sent as it is (UND_ERR_INVALID_ARG).'
    expect(await call({ method: 'GET', path: '/' })).toEqual({ ok: false, failure: 'unreachable', message })
    expect(server.requests).toHaveLength(0)
  })

  test('ignores the proxies of the environment', async () => {
    const proxy = await startServer()
    for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']) vi.stubEnv(name, proxy.url)
    vi.stubEnv('NODE_USE_ENV_PROXY', '1')
    const server = await startServer()
    const answer = await callerOf(server.url).call({ method: 'GET', path: '/' })
    vi.unstubAllEnvs()
    expect(answer.ok).toBe(true)
    expect(server.connections()).toBe(1)
    expect(proxy.connections()).toBe(0)
  })
})

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Fault } from '../support/fake-provider/faults.ts'
import { type FakeProviderOptions, startFakeProvider } from '../support/fake-provider.ts'
import { seededRandom } from '../support/random.ts'
import { callerOf } from './loopback-server.ts'

const KEY = 'sk-test-key-that-nobody-may-see'

async function start(options: FakeProviderOptions = {}) {
  const provider = await startFakeProvider({ apiKey: KEY, ...options })
  onTestFinished(() => provider.close())
  const headers = { authorization: `Bearer ${KEY}` }
  const { call } = callerOf(provider.url, { headers, timeouts: { connectMs: 200, totalMs: 400 } })
  const poll = (id: string) => call({ method: 'GET', path: `/tasks/${id}` })
  return { provider, call, poll }
}

const json = (answer: Awaited<ReturnType<ReturnType<typeof callerOf>['call']>>): unknown =>
  answer.ok ? JSON.parse(answer.body.toString()) : answer

describe('the fake provider', () => {
  test('gives the true status of a task', async () => {
    const { provider, poll } = await start()
    provider.create('t1')
    expect(json(await poll('t1'))).toEqual({ task_id: 't1', status: 'processing' })
    provider.finish('t1', 'completed')
    expect(json(await poll('t1'))).toEqual({ task_id: 't1', status: 'completed', result: { output: 'of t1' } })
    expect(await poll('t2')).toMatchObject({ ok: true, status: 404 })
    expect(provider.seen.pollsOf('t1')).toBe(2)
    expect(provider.seen.pollTimesMs('t1')).toHaveLength(2)
    expect(provider.seen.requests[0]?.headers.authorization).toBe(`Bearer ${KEY}`)
    expect(provider.seen.maxOpenRequests).toBe(1)
  })

  test('requires its key', async () => {
    const { provider } = await start()
    const answer = await callerOf(provider.url).call({ method: 'GET', path: '/webhooks' })
    expect(answer).toMatchObject({ ok: true, status: 401 })
  })

  const seen: readonly (readonly [Fault, object])[] = [
    [
      { kind: 'status', status: 404 },
      { ok: true, status: 404 },
    ],
    [
      { kind: 'status', status: 500 },
      { ok: true, status: 500 },
    ],
    [
      { kind: 'status', status: 503 },
      { ok: true, status: 503 },
    ],
    [
      { kind: 'rate-limited', retryAfterSeconds: 7 },
      { ok: true, status: 429, headers: { 'retry-after': '7' } },
    ],
    [
      { kind: 'rate-limited', retryAfterSeconds: 7, as: 'date' },
      { ok: true, status: 429, headers: { 'retry-after': expect.stringMatching(/^\w{3}, \d\d .* GMT$/) } },
    ],
    [
      { kind: 'garbage', form: 'text' },
      { ok: true, status: 200 },
    ],
    [
      { kind: 'garbage', form: 'wrong-shape' },
      { ok: true, status: 200 },
    ],
    [
      { kind: 'garbage', form: 'other-task' },
      { ok: true, status: 200 },
    ],
    [{ kind: 'redirect' }, { ok: true, status: 302, headers: { location: '/redirected/tasks/t1' } }],
    [{ kind: 'endless' }, { ok: false, failure: 'too_large' }],
    [{ kind: 'silence' }, { ok: false, failure: 'timeout' }],
    [
      { kind: 'silence', after: 'headers' },
      { ok: false, failure: 'timeout' },
    ],
    [{ kind: 'reset' }, { ok: false, failure: 'broken' }],
    [
      { kind: 'reset', after: 'headers' },
      { ok: false, failure: 'broken' },
    ],
    [{ kind: 'truncated' }, { ok: false, failure: 'broken' }],
    [
      { kind: 'slow', delayMs: 50 },
      { ok: true, status: 200 },
    ],
    [
      { kind: 'slow', delayMs: 2_000 },
      { ok: false, failure: 'timeout' },
    ],
  ]

  test.each(seen)('shows the fault %j once, as %j, and then behaves well', async (fault, expected) => {
    const { provider, poll } = await start({ misbehave: (_, nth) => (nth === 1 ? fault : undefined) })
    provider.create('t1')
    const answer = await poll('t1')
    expect(answer).toMatchObject(expected)
    if (!answer.ok) expect(answer.message).toMatch(/^[A-Z][\w ,'.]+( \([A-Z_0-9]+\))?\.$/)
    expect(answer.ok ? '' : answer.message).not.toContain('sk-')
    expect(json(await poll('t1'))).toEqual({ task_id: 't1', status: 'processing' })
    expect(provider.seen.redirectHits).toBe(0)
  })

  test('gives a wrong answer to clients that follow its redirect, and counts them', async () => {
    const { provider } = await start({ misbehave: () => ({ kind: 'redirect' }) })
    provider.create('t1')
    const answer = await fetch(`${provider.url}/tasks/t1`, { headers: { authorization: `Bearer ${KEY}` } })
    expect(await answer.json()).toMatchObject({ task_id: 't1', status: 'completed' })
    expect(provider.seen.redirectHits).toBe(1)
  })

  test('resets every connection while it is down', async () => {
    const { provider, poll } = await start()
    provider.create('t1')
    await poll('t1')
    provider.setDown(true)
    expect((await poll('t1')).ok).toBe(false)
    expect((await poll('t1')).ok).toBe(false)
    provider.setDown(false)
    expect((await poll('t1')).ok).toBe(true)
  })

  test('can be closed with silent and endless answers under way', async () => {
    const { provider, poll } = await start({ misbehave: () => ({ kind: 'silence' }) })
    provider.create('t1')
    const answer = poll('t1')
    await expect.poll(() => provider.seen.pollsOf('t1')).toBe(1)
    await provider.close()
    expect((await answer).ok).toBe(false)
  })

  test('makes one task for one Idempotency-Key, even if its answer was lost', async () => {
    const { provider, call } = await start({ misbehaveOnSubmit: (nth) => (nth === 1 ? { kind: 'reset' } : undefined) })
    const submit = (key: string) =>
      call({ method: 'POST', path: '/tasks', jsonText: '{"prompt":"x"}', headers: { 'Idempotency-Key': key } })
    expect(await submit('k1')).toMatchObject({ ok: false, failure: 'broken' })
    const answer = await submit('k1')
    expect(answer).toMatchObject({ ok: true, status: 200 })
    expect(json(answer)).toEqual({ task_id: provider.submitted[0]?.id })
    expect(await submit('k2')).toMatchObject({ ok: true, status: 201 })
    expect(provider.submitted).toHaveLength(2)
    expect(provider.seen.idempotencyKeys).toEqual(['k1', 'k1', 'k2'])
  })

  test('keeps the webhooks that are registered with it', async () => {
    const { provider, call } = await start()
    const changes = { url: 'https://a.example/v1/webhooks/ai', events: ['task.completed'] }
    const created = json(
      await call({ method: 'POST', path: '/webhooks', jsonText: JSON.stringify({ ...changes, secret: 's' }) }),
    )
    expect(created).toEqual({ ...changes, id: expect.any(String), active: true })
    const { id } = created as { id: string }
    const updated = json(await call({ method: 'PATCH', path: `/webhooks/${id}`, jsonText: '{"active":false}' }))
    expect(updated).toEqual({ ...changes, id, active: false })
    expect(json(await call({ method: 'GET', path: '/webhooks' }))).toEqual({ webhooks: [updated] })
    expect(await call({ method: 'DELETE', path: `/webhooks/${id}` })).toMatchObject({ ok: true, status: 204 })
    expect(await call({ method: 'DELETE', path: `/webhooks/${id}` })).toMatchObject({ ok: true, status: 404 })
    expect(provider.registrations.byId.size).toBe(0)
  })

  test('sends webhooks twice, in any order, and again on 503', async () => {
    const { provider } = await start()
    const bodies: { id: unknown; body: string }[] = []
    const inbox = createServer((request, response) => {
      void text(request).then((body) => {
        bodies.push({ id: request.headers['webhook-id'], body })
        response.writeHead(bodies.length === 1 ? 503 : 200).end()
      })
    })
    await once(inbox.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => {
      inbox.close()
      inbox.closeAllConnections()
    })
    const publicUrl = `http://127.0.0.1:${(inbox.address() as AddressInfo).port}`
    provider.finish(provider.create('t1'), 'failed')
    const plan = { copies: 2, processing: 'before', reorder: seededRandom(1), resendDelayMs: 1 } as const
    const sent = await provider.sendWebhook('t1', { publicUrl }, plan)
    expect(sent.map(({ isAcknowledged }) => isAcknowledged)).toEqual([true, true, true])
    expect(sent[0]?.statuses).toEqual([503, 200])
    expect(bodies).toHaveLength(4)
    expect(new Set(bodies.map(({ body }) => body)).size).toBe(2)
    expect(new Set(bodies.map(({ id }) => id)).size).toBe(2)
    const [bare] = await provider.sendWebhook('t1', { publicUrl }, { form: 'bare', status: 'completed' })
    expect(bare?.body).toBe('{"task_id":"t1","status":"completed"}')
  })
})

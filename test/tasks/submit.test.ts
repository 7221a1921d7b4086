import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import type { TaskJson } from '../../src/http/schemas/tasks.ts'
import { startServer } from '../outbound/loopback-server.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { shareTaskFlow, startTaskFlow, type TaskFlow } from '../support/task-flow.ts'

const NEVER = { max_wait_ms: 3_600_000 }
const REQUEST = { data: { prompt: 'a lighthouse' } }
/** It stands in the fake provider's answers to what it refuses. */
const ECHOED_KEY = 'sk-echoed-by-the-provider'

interface Answered {
  readonly status: number
  readonly body: TaskJson & { readonly detail?: string; readonly type?: string }
}

const submit = ({ service }: TaskFlow, more: object = {}): Promise<Answered> =>
  service.post('/v1/tasks', { source: 'ai', submit: REQUEST, ...NEVER, ...more })

const listed = async ({ service }: TaskFlow): Promise<readonly TaskJson[]> => (await service.api('/v1/tasks')).items

/** A provider of one's own making, in place of the fake one. */
const at = (url: string, key = 'sk-of-the-test') => ({
  environment: { SOURCE_AI_API_URL: url, SOURCE_AI_API_KEY: key },
})

describe('a submission', () => {
  const shared = shareTaskFlow()

  test('is the caller’s request, with the key, the URL of the source’s webhooks and the task’s own idempotency key', async () => {
    const server = await startServer((_, response) => response.end('{"task_id":"t1"}'))
    const { service } = await startTaskFlow({
      environment: {
        PUBLIC_URL: 'https://hooks.example/in/',
        SOURCES: 'ai,my-ai',
        SOURCE_MY_AI_PROVIDER: 'ai',
        SOURCE_MY_AI_SECRET: AI_SECRET,
        SOURCE_MY_AI_API_URL: `${server.url}/v2/`,
        SOURCE_MY_AI_API_KEY: 'sk-mine',
      },
    })
    const request = { ...REQUEST, webhook_url: 'https://elsewhere.example', größe: 1 }
    const answer: Answered = await service.post(
      '/v1/tasks',
      { source: 'my-ai', submit: request },
      { 'idempotency-key': 'order-7' },
    )
    expect(answer).toMatchObject({
      status: 201,
      body: { task_id: 't1', status: 'pending', polls: 0, last_error: null },
    })
    // The task may be polled before this line is reached.
    const [seen, ...others] = server.requests.filter(({ method }) => method === 'POST')
    expect(others).toEqual([])
    expect(seen).toMatchObject({ url: '/v2/tasks' })
    expect(seen?.headers).toMatchObject({
      authorization: 'Bearer sk-mine',
      'content-type': 'application/json',
      'idempotency-key': answer.body.uid,
    })
    expect(JSON.parse(seen?.body ?? '')).toEqual({
      ...request,
      webhook_url: 'https://hooks.example/in/v1/webhooks/my-ai',
    })
  })

  test('is on disk before the provider is called', async () => {
    const onDisk: unknown[] = []
    const flow = shared()
    flow.provider.misbehaveOnSubmit(() => {
      const db = new DatabaseSync(join(flow.directory, 'data/holdfast.db'), { readOnly: true })
      onDisk.push(...db.prepare("SELECT uid, id, status, request FROM task WHERE status = 'submitting'").all())
      db.close()
      return undefined
    })
    const { body } = await submit(flow)
    expect(onDisk).toEqual([{ uid: body.uid, id: null, status: 'submitting', request: JSON.stringify(REQUEST) }])
    expect(body).toMatchObject({ status: 'pending', task_id: flow.provider.submitted.at(-1)?.id })
  })

  test('leads to a task that its webhook ends', async () => {
    const flow = shared()
    const id = (await submit(flow)).body.task_id ?? ''
    flow.provider.finish(id, 'completed')
    await flow.provider.sendWebhook(id, flow.service)
    expect(await flow.task(id)).toMatchObject({ status: 'completed', resolved_by: 'webhook' })
    expect(await flow.handledOf(id)).toHaveLength(2)
  })

  test('leads to a task that is polled when its webhook does not come', async () => {
    const flow = shared()
    const id = (await submit(flow, { max_wait_ms: 0 })).body.task_id ?? ''
    flow.provider.finish(id, 'completed')
    expect(await flow.task(id, 20)).toMatchObject({ status: 'completed', resolved_by: 'poll' })
  })

  test('whose webhook comes before its answer is ended by the webhook, and handled once', async () => {
    let uid = ''
    const server = await startServer((_, response) => {
      const webhook = signedEvent('task.completed', { task_id: 'quick', status: 'completed' })
      void post(flow.service.publicUrl, webhook).then((kept) => {
        uid = kept.uid
        response.end('{"task_id":"quick"}')
      })
    })
    const flow: TaskFlow = await startTaskFlow(at(server.url))
    const { status, body } = await submit(flow)
    expect(status).toBe(201)
    expect(body).toMatchObject({ task_id: 'quick', status: 'completed', resolved_by: 'webhook', event_uid: uid })
    await flow.settled()
    expect(
      flow
        .handled()
        .map((each) => `${each.handler} ${each.uid}`)
        .sort(),
    ).toEqual([`all ${uid}`, `one ${uid}`])
    expect(server.requests).toHaveLength(1)
  })
})

describe('a submission that the provider refuses', () => {
  const echoing = shareTaskFlow({ apiKey: ECHOED_KEY, environment: { SOURCE_AI_API_KEY: ECHOED_KEY } })

  test.each([400, 401] as const)(
    'with %i fails its task, and its error is shown without any secret',
    async (status) => {
      const flow = echoing()
      flow.provider.misbehaveOnSubmit(() => ({ kind: 'status', status, created: false }))
      const before = flow.provider.seen.submissions
      const answer = await submit(flow)
      expect(answer).toMatchObject({
        status: 502,
        body: { type: 'urn:holdfast:problem:provider-failed', detail: `the provider answered ${status}: [redacted]` },
      })
      const [task] = await listed(flow)
      expect(task).toMatchObject({
        status: 'failed',
        task_id: null,
        last_error: `the provider answered ${status}`,
        next_poll_at: null,
        resolved_by: null,
        event_uid: null,
      })
      expect((await flow.service.api('/v1/events')).items).toEqual([])
      expect(flow.provider.seen.submissions - before).toBe(1)
      expect(JSON.stringify(flow.service.logs)).toContain('task refused by its provider')
      expect(JSON.stringify(flow.service.logs)).not.toMatch(/sk-|whsec_|lighthouse/)
    },
  )

  const key = 'sk-a-key-that-nobody-may-see'
  const refusals = [
    [422, { error: { message: 'no such model' } }, 'the provider answered 422: no such model'],
    [422, { message: `the key ${key} may not` }, 'the provider answered 422: the key [redacted] may not'],
    [403, { detail: `signed with ${AI_SECRET}?` }, 'the provider answered 403: signed with [redacted]?'],
    [400, { error: `${AI_SECRET.slice(6)}!` }, 'the provider answered 400: [redacted]!'],
    [404, { errors: ['something else'] }, 'the provider answered 404'],
    [413, 'too much', 'the provider answered 413'],
    // The words are cut off at 500 characters, but no key in the middle.
    [400, { message: `${'.'.repeat(480)}${key}` }, `the provider answered 400: ${'.'.repeat(480)}[redacted]`],
    [400, { message: 'a'.repeat(9_000) }, `the provider answered 400: ${'a'.repeat(500)}`],
  ] as const
  test('is quoted without its secrets', async () => {
    let refusal: readonly [status: number, said: unknown, detail: string] = refusals[0]
    const server = await startServer((_, response) => response.writeHead(refusal[0]).end(JSON.stringify(refusal[1])))
    const flow = await startTaskFlow(at(server.url, key))
    for (refusal of refusals) {
      const [status, , detail] = refusal
      expect(await submit(flow)).toMatchObject({ status: 502, body: { detail } })
      const [task] = await listed(flow)
      expect(task).toMatchObject({ status: 'failed', last_error: `the provider answered ${status}` })
    }
    expect(JSON.stringify(flow.service.logs)).not.toMatch(/sk-|aG9sZGZhc3Q/)
  })

  test('by an id that holds the API key leaves the task without an id, and the key is shown nowhere', async () => {
    const server = await startServer((_, response) => response.end(JSON.stringify({ task_id: `task-${key}` })))
    const flow = await startTaskFlow(at(server.url, key))
    expect(await submit(flow)).toMatchObject({ status: 201, body: { status: 'submitting', task_id: null } })
    expect(JSON.stringify([await listed(flow), flow.service.logs])).not.toContain(key)
  })

  test('is not sent again under the same Idempotency-Key, since its task has failed', async () => {
    const server = await startServer((_, response) => response.writeHead(422).end('{}'))
    const { service } = await startTaskFlow(at(server.url))
    const again = () => service.post('/v1/tasks', { source: 'ai', submit: REQUEST }, { 'idempotency-key': 'order-7' })
    expect(await again()).toMatchObject({ status: 502 })
    expect(await again()).toMatchObject({ status: 201, body: { status: 'failed', task_id: null } })
    expect(server.requests).toHaveLength(1)
  })
})

describe('a submission that does not succeed at once', () => {
  const shared = shareTaskFlow({ tuning: { callTimeouts: { connectMs: 500, totalMs: 500 } } })
  test.each([
    ['answers 429', { kind: 'rate-limited', retryAfterSeconds: 0, created: false }, 'the provider answered 429'],
    ['answers 503', { kind: 'status', status: 503, created: false }, 'the provider answered 503'],
    ['has the task and answers 500', { kind: 'status', status: 500 }, 'the provider answered 500'],
    ['has the task and hangs up', { kind: 'reset' }, 'The connection broke'],
    ['has the task and sends no answer', { kind: 'silence' }, 'No whole answer came within'],
  ] as const)(
    'where the provider %s is repeated under the same key until the task is pending',
    async (_, fault, error) => {
      let isWell = false
      const flow = shared()
      flow.provider.misbehaveOnSubmit(() => (isWell ? undefined : fault))
      const before = flow.provider.seen.submissions
      const { status, body } = await submit(flow)
      expect(status).toBe(201)
      expect(body).toMatchObject({
        status: 'submitting',
        task_id: null,
        polls: 0,
        last_error: expect.stringContaining(error),
      })
      isWell = true
      const task: TaskJson = await eventually(
        () => flow.task(body.uid),
        (found) => found.status === 'pending',
      )
      expect(flow.provider.submitted.at(-1)).toMatchObject({ id: task.task_id, request: REQUEST })
      expect(flow.provider.seen.submissions - before).toBeGreaterThan(1)
      expect(new Set(flow.provider.seen.idempotencyKeys.slice(before))).toEqual(new Set([body.uid]))
      expect(task).toMatchObject({ uid: body.uid, last_error: null, polls: 0, stale_at: body.stale_at })
    },
  )

  test('where the provider hangs at the repetition does not hold up the end of the service', async () => {
    const flow = await startTaskFlow({
      misbehaveOnSubmit: (nth) => (nth === 1 ? { kind: 'status', status: 503 } : { kind: 'silence' }),
    })
    const { body } = await submit(flow)
    await eventually(
      async () => flow.provider.seen.submissions,
      (count) => count === 2,
    )
    const startedAt = performance.now()
    await flow.service.stop()
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    flow.provider.misbehaveOnSubmit(() => undefined)
    const again = await flow.restart()
    await eventually(
      () => again.api(`/v1/tasks/ai/${body.uid}`),
      (found: TaskJson) => found.status === 'pending',
    )
    expect(flow.provider.submitted).toHaveLength(1)
  })
})

describe('a submission to a source', () => {
  test('without PUBLIC_URL is answered with 409, and the provider is not called', async () => {
    const { service, provider } = await startTaskFlow({ environment: { PUBLIC_URL: '' } })
    expect(await service.post('/v1/tasks', { source: 'ai', submit: {} })).toMatchObject({
      status: 409,
      body: { type: 'urn:holdfast:problem:not-configured', detail: 'PUBLIC_URL is not set' },
    })
    expect(provider.seen.requests).toEqual([])
    expect((await service.api('/v1/tasks')).items).toEqual([])
  })

  test('without an API, tasks, or an endpoint for the request is refused with the reason', async () => {
    const { service } = await startTaskFlow({
      environment: {
        SOURCES: 'bare,code,open',
        SOURCE_BARE_PROVIDER: 'ai',
        SOURCE_BARE_SECRET: AI_SECRET,
        SOURCE_CODE_PROVIDER: 'github',
        SOURCE_CODE_SECRET: AI_SECRET,
        SOURCE_CODE_API_KEY: 'sk-code',
        SOURCE_OPEN_PROVIDER: 'openai',
        SOURCE_OPEN_SECRET: AI_SECRET,
        SOURCE_OPEN_API_KEY: 'sk-open',
      },
    })
    for (const [source, status, detail] of [
      ['bare', 409, 'the API of source bare is not configured'],
      ['code', 409, 'provider github has no API to submit tasks'],
      ['open', 400, 'provider openai has no endpoint for this request'],
    ] as const)
      expect(await service.post('/v1/tasks', { source, submit: {} })).toMatchObject({ status, body: { detail } })
    expect((await service.api('/v1/tasks')).items).toEqual([])
  })
})

import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { post as send, signedEvent } from '../support/events.ts'
import { startTaskFlow } from '../support/task-flow.ts'
import { startOps } from './ops-service.ts'
import { expectProblem } from './public-service.ts'
import { jsonOf, NEVER, pathOf, startTaskOps } from './task-ops.ts'

const pollOf = (id: string): string => `${pathOf(id)}/poll`

describe('POST /v1/tasks/:source/:task_id/poll', () => {
  test('polls a task that is not stale yet, and shows that it is still pending', async () => {
    const { track, post, provider, polled } = await startTaskOps()
    const id = await track(NEVER)
    const answer = await post(pollOf(id))
    expect(answer.status).toBe(200)
    const task = await jsonOf(answer)
    expect(task).toMatchObject({ status: 'pending', provider_status: 'processing', polls: 1, last_error: null })
    expect(provider.seen.pollsOf(id)).toBe(1)
    expect(polled).toEqual(['ai/pending'])
    expect(await jsonOf(await post(pollOf(id)))).toMatchObject({ polls: 2 })
  })

  test('ends a task that has ended at the provider, with the event that its webhook would have brought', async () => {
    const { track, post, get, provider, store, resolved } = await startTaskOps()
    const id = await track(NEVER)
    provider.finish(id, 'failed')
    const task = await jsonOf(await post(pollOf(id)))
    expect(task).toMatchObject({ status: 'failed', resolved_by: 'poll', next_poll_at: null })
    expect(await store.event(task.event_uid)).toMatchObject({ type: 'task.failed', origin: 'poll', task: id })
    expect(resolved).toEqual(['ai/poll'])
    expect(await jsonOf(await get(pathOf(id)))).toEqual(task)
  })

  test('shows what the provider was asked, by whom, and what came of it', async () => {
    const { track, post, get, tasks, provider } = await startTaskOps({
      misbehave: (_id, nth) => (nth === 2 ? { kind: 'status', status: 503 } : undefined),
    })
    const id = await track({ max_wait_ms: 0 })
    await tasks.poller.pass()
    await post(pollOf(id))
    provider.finish(id, 'completed')
    const ended = await jsonOf(await post(pollOf(id)))
    const asked = { kind: 'poll', at: expect.any(String), duration_ms: expect.any(Number) }
    expect(ended.questions).toEqual([
      { ...asked, by: 'poller', outcome: 'pending', provider_status: 'processing', error: null },
      { ...asked, by: 'operator', outcome: 'unusable', provider_status: null, error: 'the provider answered 503' },
      { ...asked, by: 'operator', outcome: 'ended', provider_status: 'completed', error: null },
    ])
    expect(ended).toMatchObject({ status: 'completed', polls: 3 })
    const times = ended.questions.map(({ at }: { at: string }) => at)
    expect(times).toEqual(times.toSorted())
    expect((await jsonOf(await get(pathOf(id)))).questions).toEqual(ended.questions)
    expect((await jsonOf(await get('/v1/tasks'))).items[0]).not.toHaveProperty('questions')
  })

  test('does not poll a task that has ended', async () => {
    const { track, post, provider } = await startTaskOps()
    const id = await track(NEVER)
    provider.finish(id, 'completed')
    const ended = await jsonOf(await post(pollOf(id)))
    expect(await jsonOf(await post(pollOf(id)))).toEqual(ended)
    expect(provider.seen.pollsOf(id)).toBe(1)
  })

  test('takes the uid of a task, and an id that is hard to spell', async () => {
    const { post, provider } = await startTaskOps()
    provider.create('a/poll 100%')
    const { uid } = await jsonOf(await post('/v1/tasks', { source: 'ai', task_id: 'a/poll 100%', ...NEVER }))
    expect(await jsonOf(await post(pollOf('a/poll 100%')))).toMatchObject({ uid, polls: 1 })
    expect(await jsonOf(await post(pollOf(uid)))).toMatchObject({ uid, polls: 2 })
  })

  test.each([
    ['that is in trouble', { kind: 'status', status: 503 }, 'the provider answered 503'],
    ['that does not know the task', { kind: 'status', status: 404 }, 'the provider answered 404'],
    ['that talks of another task', { kind: 'garbage', form: 'other-task' }, 'the answer says nothing about this task'],
    ['that hangs up', { kind: 'reset' }, 'The connection broke'],
  ] as const)('answers for a provider %s with the task and the error', async (_what, fault, error) => {
    const { track, post } = await startTaskOps({ misbehave: () => fault })
    const id = await track(NEVER)
    const answer = await post(pollOf(id))
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({
      status: 'pending',
      polls: 1,
      last_error: expect.stringContaining(error),
    })
  })

  test('gets 409 while the provider is being polled already', async () => {
    const asked = Promise.withResolvers<void>()
    const { track, post } = await startTaskOps({
      misbehave: () => {
        asked.resolve()
        return { kind: 'slow', delayMs: 500 }
      },
    })
    const id = await track(NEVER)
    const first = post(pollOf(id))
    await asked.promise
    const { detail } = await expectProblem(await post(pollOf(id)), 409, 'conflict')
    expect(detail).toBe(`task ${id} is being polled already`)
    expect(await jsonOf(await first)).toMatchObject({ status: 'pending', polls: 1 })
  })

  test('submits again a task whose submission may not have arrived', async () => {
    const { post, provider } = await startTaskOps({
      misbehaveOnSubmit: (nth) => (nth === 1 ? { kind: 'status', status: 503 } : undefined),
    })
    const { uid } = await jsonOf(await post('/v1/tasks', { source: 'ai', submit: {} }))
    const task = await jsonOf(await post(pollOf(uid)))
    expect(task).toMatchObject({ uid, status: 'pending', last_error: null, polls: 0 })
    expect(task.questions).toMatchObject([
      { kind: 'submission', by: 'caller', outcome: 'unusable', error: 'the provider answered 503' },
      { kind: 'submission', by: 'operator', outcome: 'pending', provider_status: null, error: null },
    ])
    expect(provider.seen.idempotencyKeys).toEqual([uid, uid])
    expect(provider.submitted).toHaveLength(1)
  })

  test('gets 409 with the reason at a source whose provider cannot be polled', async () => {
    const { get, store } = await startOps()
    await store.track({ uid: newUid(), source: 'ai', id: 'a', maxWaitMs: 1, deadlineMs: 60_000 })
    const { detail } = await expectProblem(await get(pollOf('a'), { method: 'POST' }), 409, 'not-configured')
    expect(detail).toBe('provider ai has no API for tasks')
  })

  test.each([
    ['/v1/tasks/ai/nothing/poll', 'task-not-found'],
    ['/v1/tasks/nobody/nothing/poll', 'unknown-source'],
  ])('answers %s with 404', async (path, slug) => {
    const { post } = await startTaskOps()
    await expectProblem(await post(path), 404, slug)
  })

  test('does not take GET', async () => {
    const { get } = await startOps()
    await expectProblem(await get(pollOf('a')), 405, 'method-not-allowed')
  })
})

test('GET /v1/sources shows when each source had its last webhook, and whether its provider can be polled', async () => {
  const { service, provider, track, task } = await startTaskFlow({
    environment: { SOURCES: 'ai,forms', SOURCE_FORMS_PROVIDER: 'ai', SOURCE_FORMS_SECRET: 'whsec_'.padEnd(50, 'a') },
  })
  const sources = async () => (await service.api('/v1/sources')).items
  const silent = { last_event_at: null, recovered_last_hour: 0, silent_since: null }
  expect(await sources()).toMatchObject([
    { name: 'ai', provider: 'ai', url: 'http://127.0.0.1:9/v1/webhooks/ai', ...silent, breaker: 'closed' },
    { name: 'forms', provider: 'ai', ...silent, breaker: null },
  ])

  const id = provider.create()
  provider.finish(id, 'completed')
  await track(id)
  await task(id, 20)
  // What was asked for is no webhook.
  expect(await sources()).toMatchObject([{ last_event_at: null, recovered_last_hour: 1 }, silent])

  const sentAt = Date.now()
  await send(service.publicUrl, signedEvent('task.created', { task_id: 'x', status: 'created' }))
  const [{ last_event_at }] = await sources()
  expect(Date.parse(last_event_at)).toBeGreaterThanOrEqual(sentAt)
  // An event without a signature is no event of the source.
  await fetch(`${service.publicUrl}/v1/webhooks/forms`, { method: 'POST', body: '{}' })
  expect(await sources()).toMatchObject([{ last_event_at }, silent])
  expect(JSON.stringify(await sources())).not.toMatch(/whsec|sk-/)
})

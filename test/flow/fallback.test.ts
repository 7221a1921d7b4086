import { describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { shareTaskFlow, startTaskFlow } from '../support/task-flow.ts'

const shared = shareTaskFlow()
const NEVER = { max_wait_ms: 3_600_000 }

describe('a tracked task', () => {
  test('whose webhook comes is resolved by the webhook, and the provider is never polled', async () => {
    const { provider, service, track, task, handledOf } = shared()
    const id = provider.create()
    expect(await track(id, NEVER)).toMatchObject({ status: 201, body: { task_id: id, status: 'pending', polls: 0 } })
    provider.finish(id, 'completed')
    await provider.sendWebhook(id, service)

    expect(await task(id)).toMatchObject({ status: 'completed', resolved_by: 'webhook', next_poll_at: null })
    expect((await handledOf(id)).map(({ handler, origin }) => `${handler} ${origin}`).sort()).toEqual([
      'all webhook',
      'one webhook',
    ])
    expect(provider.seen.pollsOf(id)).toBe(0)
  })

  test('whose webhook never comes is polled once it is stale, and its event reaches the handlers that the webhook would have reached', async () => {
    const { provider, track, task, handledOf, service } = shared()
    const id = provider.create()
    provider.finish(id, 'failed')
    await track(id)

    expect(await task(id, 20)).toMatchObject({ status: 'failed', resolved_by: 'poll', provider_status: 'failed' })
    const handled = await handledOf(id)
    expect(handled.map(({ handler, origin, type }) => `${handler} ${origin} ${type}`).sort()).toEqual([
      'all poll task.failed',
      'one poll task.failed',
    ])
    const { event_uid } = await task(id)
    expect(handled[0]?.uid).toBe(event_uid)
    expect(await service.api(`/v1/events/${event_uid}`)).toMatchObject({ origin: 'poll', task: id, status: 'accepted' })
    expect(provider.seen.requests.at(-1)?.headers.authorization).toBe('Bearer sk-of-the-test')
  })
})

test('a task.expired event reaches its handlers, whatever types its source takes from its provider', async () => {
  const { provider, track, task, handledOf } = await startTaskFlow({
    environment: { SOURCE_AI_TYPES: 'completion.*', TASK_MAX_WAIT_MS: '3600000' },
  })
  const id = provider.create()
  await track(id, { deadline_ms: 1 })
  expect(await task(id, 20)).toMatchObject({ status: 'expired', resolved_by: 'expiry' })
  expect((await handledOf(id)).map(({ type }) => type)).toEqual(['task.expired', 'task.expired'])
})

test('a handler sees the same event of a poll’s answer at each attempt and at a replay', async () => {
  const { provider, track, task, handledOf, service, settled } = shared()
  const id = provider.create()
  provider.finish(id, 'completed')
  await track(id)
  const { event_uid } = await task(id, 20)
  await handledOf(id)
  await settled()
  expect(await service.post(`/v1/events/${event_uid}/replay`)).toMatchObject({ status: 202 })
  expect((await handledOf(id, 4)).map(({ uid, origin }) => `${uid} ${origin}`)).toEqual(
    Array(4).fill(`${event_uid} poll`),
  )
  const body = await fetch(`${service.opsUrl}/v1/events/${event_uid}/body`)
  expect(await body.json()).toEqual({ task_id: id, status: 'completed', result: { output: `of ${id}` } })
})

describe('a webhook that reaches no handler', () => {
  test('with invalid data ends no task: Holdfast polls the provider, and handles the answer', async () => {
    const { provider, service, track, task, handledOf } = shared()
    const id = provider.create()
    provider.finish(id, 'completed')
    await track(id, { max_wait_ms: 700 })
    const { uid } = await post(service.publicUrl, signedEvent('task.completed', { task_id: id }))
    expect(await service.api(`/v1/events/${uid}`)).toMatchObject({ status: 'quarantined', task: id })
    expect(await task(id)).toMatchObject({ status: 'pending' })
    expect(await task(id, 20)).toMatchObject({ status: 'completed', resolved_by: 'poll' })
    expect((await handledOf(id)).map(({ origin }) => origin)).toEqual(['poll', 'poll'])
  })

  test('because its source does not take its type ends no task: Holdfast polls the provider, and handles the answer', async () => {
    const { provider, service, track, task, handledOf } = await startTaskFlow({
      environment: { TASK_MAX_WAIT_MS: '700', SOURCE_AI_TYPES: 'batch.*' },
    })
    const id = provider.create()
    provider.finish(id, 'completed')
    await track(id)
    const { uid } = await post(service.publicUrl, signedEvent('task.completed', { task_id: id, status: 'completed' }))
    expect(await service.api(`/v1/events/${uid}`)).toMatchObject({ status: 'unhandled', task: id })
    expect(await task(id, 20)).toMatchObject({ status: 'completed', resolved_by: 'poll' })
    expect((await handledOf(id)).map(({ origin }) => origin)).toEqual(['poll', 'poll'])
  })
})

test('a webhook with the event id that Holdfast gives to the answer of a poll keeps no task from ending', async () => {
  const { provider, service, track, task, handledOf } = shared()
  const id = provider.create()
  provider.finish(id, 'completed')
  const { body } = await track(id, { max_wait_ms: 700 })
  await post(service.publicUrl, signedEvent('task.note', { task_id: id, status: 'note' }, `poll_${String(body.uid)}`))
  expect(await task(id, 20)).toMatchObject({ status: 'completed', resolved_by: 'poll' })
  expect((await handledOf(id, 3)).filter(({ type }) => type === 'task.completed')).toHaveLength(2)
})

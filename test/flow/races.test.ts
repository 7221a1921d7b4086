import { describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { QUICK_POLLS, shareTaskFlow, type TaskFlow } from '../support/task-flow.ts'

const shared = shareTaskFlow({ pace: QUICK_POLLS })

/** Never stale on its own. */
const NEVER = { max_wait_ms: 3_600_000 }

const completed = (id: string) => signedEvent('task.completed', { task_id: id, status: 'completed' })

async function expectHandledOnce({ settled, handled }: TaskFlow, id: string, type = 'task.completed'): Promise<void> {
  await settled()
  const found = handled().filter(({ task, type }) => task === id && type !== 'task.processing')
  expect(found.map((each) => each.handler).sort()).toEqual(['all', 'one'])
  expect(new Set(found.map((each) => each.type))).toEqual(new Set([type]))
}

describe('a webhook and the request that tracks its task', () => {
  test('end the task at once with the webhook as its event, where the webhook comes first', async () => {
    const flow = shared()
    const id = flow.provider.create()
    const { uid } = await post(flow.service.publicUrl, completed(id))
    expect(await flow.track(id)).toMatchObject({
      status: 201,
      body: { status: 'completed', resolved_by: 'webhook', event_uid: uid },
    })
    await expectHandledOnce(flow, id)
    expect(flow.provider.seen.pollsOf(id)).toBe(0)
  })

  test('end the task with the webhook as its event, where the tracking comes first', async () => {
    const flow = shared()
    const id = flow.provider.create()
    await flow.track(id, NEVER)
    const { uid } = await post(flow.service.publicUrl, completed(id))
    expect(await flow.task(id)).toMatchObject({ status: 'completed', resolved_by: 'webhook', event_uid: uid })
    await expectHandledOnce(flow, id)
  })

  test('end each task exactly once, where they come together, many times over', async () => {
    const flow = shared()
    const ids = Array.from({ length: 40 }, () => flow.provider.create())
    await Promise.all(ids.flatMap((id) => [flow.track(id, NEVER), post(flow.service.publicUrl, completed(id))]))
    for (const id of ids) {
      expect(await flow.task(id)).toMatchObject({ status: 'completed', resolved_by: 'webhook' })
      await expectHandledOnce(flow, id)
    }
  })
})

describe('a webhook and a poll of its task', () => {
  test('end the task with the webhook, where it comes while the provider is being polled: the answer is dropped', async () => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
    const flow = shared()
    flow.provider.misbehave(() => {
      onAsked()
      return { kind: 'slow', delayMs: 300 }
    })
    const id = flow.provider.create()
    flow.provider.finish(id, 'completed')
    await flow.track(id)
    await asked
    const { uid } = await post(flow.service.publicUrl, completed(id))
    await eventually(
      async () => (await fetch(`${flow.service.opsUrl}/metrics`)).text(),
      (text) => text.includes('holdfast_polls_total{source="ai",outcome="late"}'),
    )
    expect(await flow.task(id)).toMatchObject({ resolved_by: 'webhook', event_uid: uid })
    expect((await flow.service.api(`/v1/events?task=${id}`)).items).toHaveLength(1)
    await expectHandledOnce(flow, id)
  })

  test('end the task with the poll, where the webhook comes later: it is stored as superseded and not dispatched', async () => {
    const flow = shared()
    const id = flow.provider.create()
    flow.provider.finish(id, 'completed')
    await flow.track(id)
    const { event_uid } = await flow.task(id, 20)
    const late = completed(id)
    const answer = await post(flow.service.publicUrl, late)

    expect(answer).toMatchObject({ status: 200, duplicate: false })
    expect(await flow.service.api(`/v1/events/${answer.uid}`)).toMatchObject({ status: 'superseded', deliveries: [] })
    expect(await flow.task(id)).toMatchObject({ resolved_by: 'poll', event_uid })
    expect(await post(flow.service.publicUrl, late)).toMatchObject({ status: 200, duplicate: true, uid: answer.uid })
    await expectHandledOnce(flow, id)
  })

  test('leave a superseded event that an operator can replay', async () => {
    const flow = shared()
    const id = flow.provider.create()
    flow.provider.finish(id, 'completed')
    await flow.track(id)
    await flow.task(id, 20)
    const { uid } = await post(flow.service.publicUrl, completed(id))
    expect(await flow.service.post(`/v1/events/${uid}/replay`)).toMatchObject({ status: 202 })
    await flow.handledOf(id, 4)
    expect(flow.handled().filter((each) => each.uid === uid)).toHaveLength(2)
  })

  test('end each task with one event, where they come together, many times over, and no handler sees two', async () => {
    const delaysMs = [0, 10, 50, 2_000]
    const flow = shared()
    flow.provider.misbehave((id) => ({ kind: 'slow', delayMs: delaysMs[Number(id) % delaysMs.length] ?? 0 }))
    const ids = Array.from({ length: 60 }, (_, at) => flow.provider.create(String(at)))
    for (const id of ids) flow.provider.finish(id, 'completed')
    await Promise.all(ids.map((id) => flow.track(id)))
    // Some answers are there before the webhook, some long after, and some right then.
    await flow.task('0', 20)
    await Promise.all(ids.map((id) => post(flow.service.publicUrl, completed(id))))
    const ended = await Promise.all(ids.map((id) => flow.task(id, 20)))
    expect(ended.filter(({ status }) => status === 'completed')).toHaveLength(ids.length)
    // Both ways of ending were met with, or this showed nothing.
    expect(new Set(ended.map(({ resolved_by }) => resolved_by)).size).toBe(2)
    for (const id of ids) await expectHandledOnce(flow, id)
  })
})

describe('a webhook that does not end its task', () => {
  test('leaves a completed task completed, where it says processing', async () => {
    const flow = shared()
    const id = flow.provider.create()
    await flow.track(id, NEVER)
    await post(flow.service.publicUrl, completed(id))
    const late = await post(
      flow.service.publicUrl,
      signedEvent('task.processing', { task_id: id, status: 'processing' }),
    )
    expect(await flow.service.api(`/v1/events/${late.uid}`)).toMatchObject({ status: 'accepted' })
    expect(await flow.task(id)).toMatchObject({ status: 'completed', provider_status: 'completed' })
    await expectHandledOnce(flow, id)
  })

  test('leaves a task pending until it completes, where it says processing', async () => {
    const flow = shared()
    const id = flow.provider.create()
    await flow.track(id, NEVER)
    await post(flow.service.publicUrl, signedEvent('task.processing', { task_id: id, status: 'processing' }))
    expect(await flow.task(id)).toMatchObject({ status: 'pending' })
    await post(flow.service.publicUrl, completed(id))
    expect(await flow.task(id)).toMatchObject({ status: 'completed' })
    await expectHandledOnce(flow, id)
  })

  test('is superseded, where it reports another end of a task that has ended', async () => {
    const flow = shared()
    const id = flow.provider.create()
    await flow.track(id, NEVER)
    await post(flow.service.publicUrl, completed(id))
    const other = await post(flow.service.publicUrl, signedEvent('task.failed', { task_id: id, status: 'failed' }))
    expect(await flow.service.api(`/v1/events/${other.uid}`)).toMatchObject({ status: 'superseded' })
    expect(await flow.task(id)).toMatchObject({ status: 'completed' })
  })
})

describe('the expiry of a task and its webhook', () => {
  test('end the task as expired where the expiry comes first: task.expired is handled, and the late webhook is superseded', async () => {
    const flow = shared()
    const id = flow.provider.create()
    await flow.track(id, { ...NEVER, deadline_ms: 1, metadata: { order: 7 } })
    expect(await flow.task(id, 20)).toMatchObject({ status: 'expired', resolved_by: 'expiry', metadata: { order: 7 } })
    const { uid } = await post(flow.service.publicUrl, completed(id))
    expect(await flow.service.api(`/v1/events/${uid}`)).toMatchObject({ status: 'superseded' })
    expect(await flow.task(id)).toMatchObject({ status: 'expired' })
    await expectHandledOnce(flow, id, 'task.expired')
    expect(flow.provider.seen.pollsOf(id)).toBe(0)
  })

  test('end the task by the webhook where it comes first: the task does not expire', async () => {
    const flow = shared()
    const id = flow.provider.create()
    await flow.track(id, { ...NEVER, deadline_ms: 400 })
    await post(flow.service.publicUrl, completed(id))
    const other = flow.provider.create()
    await flow.track(other, { ...NEVER, deadline_ms: 400 })
    expect(await flow.task(other, 20)).toMatchObject({ status: 'expired' })
    expect(await flow.task(id)).toMatchObject({ status: 'completed' })
    await expectHandledOnce(flow, id)
  })
})

test('a task that its owner has cancelled is not polled any more, and a webhook that still comes for it is handled', async () => {
  const flow = shared()
  const id = flow.provider.create()
  await flow.track(id, { max_wait_ms: 500 })
  expect(await flow.service.api(`/v1/tasks/ai/${id}`, { method: 'DELETE' })).toMatchObject({
    status: 'cancelled',
    resolved_by: null,
  })
  const { uid } = await post(flow.service.publicUrl, completed(id))
  expect(await flow.service.api(`/v1/events/${uid}`)).toMatchObject({ status: 'accepted' })
  expect(await flow.task(id)).toMatchObject({ status: 'cancelled', event_uid: null })
  await expectHandledOnce(flow, id)
  const other = flow.provider.create()
  flow.provider.finish(other, 'completed')
  await flow.track(other, { max_wait_ms: 500 })
  expect(await flow.task(other, 20)).toMatchObject({ resolved_by: 'poll' })
  expect(flow.provider.seen.pollsOf(id)).toBe(0)
})

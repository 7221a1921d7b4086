import { describe, expect, test } from 'vitest'
import { startSourcePoller } from '../support/source-poller.ts'
import { QUICK_POLLS, startTaskFlow } from '../support/task-flow.ts'

const LIMIT_BYTES = 65_536
const LONG = 'x'.repeat(100_000)

/** One task at its provider, of which this is the answer. */
async function askedFor(answer: (id: string) => object, deadlineMs = 86_400_000) {
  const rig = await startSourcePoller({
    maxWaitMs: 0,
    deadlineMs,
    maxAnswerBytes: LIMIT_BYTES,
    provider: { misbehave: (id) => ({ kind: 'answer', body: JSON.stringify(answer(id)) }) },
  })
  const [id = ''] = await rig.track()
  await rig.pass()
  return { ...rig, id }
}

const warnings = (logs: readonly Record<string, unknown>[]) => logs.filter(({ level }) => Number(level) >= 40)

describe('an answer to a poll that is too long to be stored', () => {
  test.each([
    ['before', (id: string) => ({ task_id: id, status: 'completed', result: LONG, usage: { tokens: 3 } })],
    ['behind', (id: string) => ({ usage: { tokens: 3 }, result: LONG, task_id: id, status: 'completed' })],
  ])('ends its task where its status stands %s the long part, and the event has its outline', async (_, answer) => {
    const { id, store, task, logs, polled } = await askedFor(answer)
    const ended = await task(id)
    expect(ended).toMatchObject({
      status: 'completed',
      providerStatus: 'completed',
      resolvedBy: 'poll',
      lastError: `the answer was longer than ${LIMIT_BYTES} bytes: only its outline is stored`,
    })
    const uid = String(ended?.eventUid)
    expect(await store.event(uid)).toMatchObject({ type: 'task.completed', task: id, status: 'accepted' })
    expect(JSON.parse(Buffer.from(await store.body(uid)).toString())).toEqual({
      task_id: id,
      status: 'completed',
      usage: { tokens: 3 },
      holdfast: {
        truncated: true,
        limit_bytes: LIMIT_BYTES,
        size_bytes: JSON.stringify(answer(id)).length,
        omitted: ['result'],
      },
    })
    expect(polled).toEqual(['ai/truncated'])
    expect(warnings(logs)).toMatchObject([{ source: 'ai', task: id, limit_bytes: LIMIT_BYTES }])
  })

  test('leaves its task to be polled again where the task goes on', async () => {
    const { id, task, polled, logs } = await askedFor((id) => ({ task_id: id, log: LONG, status: 'running' }))
    expect(await task(id)).toMatchObject({ status: 'pending', providerStatus: 'running', lastError: null })
    expect(polled).toEqual(['ai/pending'])
    expect(warnings(logs)).toEqual([])
  })

  test('is logged once where it says nothing of its task, and is the error with which the task expires', async () => {
    const { id, task, pass, polled, logs, dueInMs } = await askedFor(() => ({ results: [LONG] }), 60_000)
    const error = `the answer is longer than ${LIMIT_BYTES} bytes, and its outline says nothing about this task`
    expect(await task(id)).toMatchObject({ status: 'pending', lastError: error })
    await pass(await dueInMs(id))
    expect(polled).toEqual(['ai/too_large', 'ai/too_large'])
    expect(warnings(logs)).toMatchObject([{ source: 'ai', task: id, error }])
    await pass(60_000)
    expect(await task(id)).toMatchObject({ status: 'expired', providerStatus: null, lastError: error })
  })
})

test('an answer to a poll of 1.5 MB ends its task, and reaches its handlers whole', async () => {
  const result = 'x'.repeat(1_500_000)
  const { provider, track, task, handledOf, service } = await startTaskFlow({
    pace: QUICK_POLLS,
    misbehave: (id) => ({ kind: 'answer', body: JSON.stringify({ task_id: id, status: 'completed', result }) }),
  })
  const id = provider.create()
  await track(id)
  const ended = await task(id, 30)
  expect(ended).toMatchObject({ status: 'completed', resolved_by: 'poll', last_error: null, polls: 1 })
  expect(await handledOf(id)).toMatchObject([{ type: 'task.completed' }, { type: 'task.completed' }])
  expect(await service.api(`/v1/events/${ended.event_uid}/body`)).toEqual({ task_id: id, status: 'completed', result })
  await service.post(`/v1/events/${ended.event_uid}/replay`, {})
  expect(await handledOf(id, 4)).toHaveLength(4)
})

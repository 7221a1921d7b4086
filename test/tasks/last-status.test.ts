import { expect, test } from 'vitest'
import type { CallProvider } from '../../src/domain/outbound.ts'
import stripe from '../../src/providers/stripe.ts'
import { startSourcePoller } from '../support/source-poller.ts'
import { startTaskRig } from '../support/task-rig.ts'

const saying = (word: string) => (id: string) =>
  ({ kind: 'answer', body: JSON.stringify({ task_id: id, status: word }) }) as const

/** One task of which its provider says this, polled so many times. */
async function polledOf(misbehave: Parameters<typeof startSourcePoller>[0], polls = 1) {
  const rig = await startSourcePoller({ maxWaitMs: 0, deadlineMs: 60_000, ...misbehave })
  const [id = ''] = await rig.track()
  await rig.pass()
  for (let poll = 1; poll < polls; poll++) await rig.pass(await rig.dueInMs(id))
  const warned = rig.logs.filter(({ level }) => Number(level) >= 40)
  const expiredBody = async () => {
    await rig.pass(60_000)
    const task = await rig.task(id)
    const { data } = JSON.parse(Buffer.from(await rig.store.body(String(task?.eventUid))).toString())
    return { task, data }
  }
  return { ...rig, id, warned, expiredBody }
}

test('a task that expires keeps the provider’s last status, and its event has that status', async () => {
  const { expiredBody } = await polledOf({ provider: { misbehave: saying('running') } })
  const { task, data } = await expiredBody()
  const error = 'at its deadline the provider said "running"'
  expect(task).toMatchObject({ status: 'expired', providerStatus: 'running', lastError: error })
  expect(data).toMatchObject({ status: 'expired', provider_status: 'running', error })
})

test('a task whose provider never gave a status expires without one, and with the last error', async () => {
  const { expiredBody } = await polledOf({ provider: { misbehave: () => ({ kind: 'status', status: 404 }) } })
  const { task, data } = await expiredBody()
  expect(task).toMatchObject({ status: 'expired', providerStatus: null, lastError: 'the provider answered 404' })
  expect(data).toMatchObject({ status: 'expired', error: 'the provider answered 404' })
  expect(data).not.toHaveProperty('provider_status')
})

test('tasks that are not polled at their deadline because their provider has an open breaker say so when they expire', async () => {
  const { track, pass, task } = await startSourcePoller({
    maxWaitMs: 0,
    deadlineMs: 60_000,
    tasksApi: { concurrency: 1 },
    provider: { misbehave: (id, nth) => (nth === 1 ? saying('running')(id) : { kind: 'status', status: 500 }) },
  })
  const ids = await track(10)
  await pass()
  await pass(30_000)
  await pass(30_000)
  const tasks = await Promise.all(ids.map(task))
  expect(new Set(tasks.map((each) => `${each?.status} ${each?.providerStatus}`))).toEqual(new Set(['expired running']))
  expect(new Set(tasks.map((each) => each?.lastError))).toEqual(
    new Set([
      'the provider answered 500',
      'the circuit breaker was open at its deadline, and its provider was not asked',
    ]),
  )
})

const unasked: CallProvider = () => Promise.reject(new Error('asked all the same'))

test.each([
  ['its provider was not asked: the API of source ai is not configured', {}, 0],
  ['its provider was not asked: provider stripe has no API for tasks', { provider: stripe, call: unasked }, 0],
  ['it was not stale at its deadline, and its provider was not asked', { call: unasked }, 120_000],
])('a task that was not polled at its deadline expires with the reason: %s', async (error, source, maxWaitMs) => {
  let nowMs = Date.now()
  const rig = await startTaskRig({ maxWaitMs, deadlineMs: 60_000, sources: [source], clock: () => nowMs })
  await rig.tasks.service.begin({ source: 'ai', work: { taskId: 'task_1' } })
  nowMs += 60_000
  await rig.tasks.poller.pass()
  expect(await rig.store.task('ai', 'task_1')).toMatchObject({ status: 'expired', lastError: error })
})

test.each(['COMPLETED', 'done', 'Succeeded', 'time_out'])(
  'the repeated status %j, which the provider’s module does not know, is shown with the task and logged once',
  async (word) => {
    const { task, id, warned, expiredBody } = await polledOf({ provider: { misbehave: saying(word) } }, 4)
    const error = `the provider keeps giving the status "${word}", which its module does not know as an end`
    expect(await task(id)).toMatchObject({ status: 'pending', providerStatus: word, lastError: error })
    expect(warned).toMatchObject([{ source: 'ai', task: id, word }])
    expect((await expiredBody()).task).toMatchObject({ status: 'expired', providerStatus: word, lastError: error })
  },
)

test('an unknown status that does not look like an end, or comes only once, is not logged', async () => {
  const ongoing = await polledOf({ provider: { misbehave: saying('processing') } }, 4)
  expect(await ongoing.task(ongoing.id)).toMatchObject({ providerStatus: 'processing', lastError: null })
  const once = await polledOf({ provider: { misbehave: (id, nth) => saying(nth % 2 === 0 ? 'DONE' : 'busy')(id) } }, 4)
  expect(await once.task(once.id)).toMatchObject({ providerStatus: 'DONE', lastError: null })
  expect([...ongoing.warned, ...once.warned]).toEqual([])
})

test('the poll at the deadline is among the questions about a task, also where it gave no usable answer', async () => {
  const misbehave = (id: string, nth: number) =>
    nth === 1 ? saying('running')(id) : ({ kind: 'status', status: 404 } as const)
  const failing = await polledOf({ provider: { misbehave } })
  const { task } = await failing.expiredBody()
  expect(task?.polls).toBe(2)
  expect(await failing.store.questions(task?.uid ?? '')).toMatchObject([
    { by: 'poller', outcome: 'pending', providerStatus: 'running' },
    { by: 'poller', outcome: 'unusable', error: 'the provider answered 404', atMs: task?.endedAtMs },
  ])
  const running = await polledOf({ provider: { misbehave: saying('running') } })
  const expired = (await running.expiredBody()).task
  const last = (await running.store.questions(expired?.uid ?? '')).at(-1)
  expect(last).toMatchObject({ outcome: 'pending', providerStatus: 'running', atMs: expired?.endedAtMs })
  expect(last).not.toHaveProperty('error')
})

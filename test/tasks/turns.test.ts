import { describe, expect, test } from 'vitest'
import { BREAKER_PROBES } from '../../src/tasks/circuit-breaker.ts'
import { startSourcePoller } from '../support/source-poller.ts'
import { SICK, soundTasksArePolled, startMixed } from './mixed-tasks.ts'

describe('healthy tasks beside failing tasks of their source', () => {
  test.each([403, 404, 410, 422] as const)(
    'are polled at once where the provider answers %i for each failing task, which is then the fault of that task',
    async (status) => {
      const { pass, statuses, tasks, dueInMs, task } = await startMixed(() => ({ kind: 'status', status }))
      expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('closed')
      await pass()
      expect(await statuses()).toEqual(new Set(['completed']))
      expect(await dueInMs('sick_0')).toBe(2_000)
      expect(await task('sick_0')).toMatchObject({ lastError: `the provider answered ${status}` })
    },
  )

  test.each([
    ['an answer of 500', { kind: 'status', status: 500 }],
    ['a reset', { kind: 'reset' }],
    ['an answer that is not JSON', { kind: 'garbage', form: 'text' }],
  ] as const)('are polled first when the provider is called again after %s', async (_, fault) => {
    const { pass, statuses, tasks, polled } = await startMixed(() => fault)
    expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('open')
    const before = polled.length
    await pass(10_000)
    expect(await statuses()).toEqual(new Set(['completed']))
    expect(polled[before]).toBe('ai/terminal')
  })

  test('are polled after the pauses that the failing tasks before them take at their first polls', async () => {
    const { pass, statuses } = await startMixed(() => ({ kind: 'status', status: 500 }), { areKnown: false })
    for (let pause = 0; pause < (SICK - 16) / BREAKER_PROBES; pause++) await pass(10_000)
    expect(await statuses()).toEqual(new Set(['completed']))
  })

  test('are polled within a bound, however many failing tasks there are and whatever their faults', async () => {
    await soundTasksArePolled(4)
  })
})

test('tasks that have failed get a share of the turns while other tasks are always due', async () => {
  const { track, pass, provider, tasks } = await startSourcePoller({
    maxWaitMs: 0,
    tasksApi: { concurrency: 1 },
    provider: { misbehave: (id) => (id.startsWith('sick') ? { kind: 'status', status: 404 } : undefined) },
  })
  for (let n = 0; n < 10; n++)
    await tasks.service.begin({ source: 'ai', work: { taskId: provider.create(`sick_${n}`) } })
  await pass()
  await track(40)
  await pass(10_000)
  const order = provider.seen.requests.slice(10).map(({ url }) => (url.includes('sick') ? 'sick' : 'sound'))
  // One for each four others, until all have been asked for.
  expect(order.slice(0, 20).filter((each) => each === 'sick').length).toBeOneOf([4, 5])
  expect(order).toHaveLength(50)
})

test('a refused API key is the fault of the source: it is logged once, and the polls pause until the key is accepted', async () => {
  let isRefused = true
  const { track, pass, tasks, logs, provider } = await startSourcePoller({
    maxWaitMs: 0,
    provider: { misbehave: () => (isRefused ? { kind: 'status', status: 401 } : undefined) },
  })
  await track(20)
  await pass()
  const poller = tasks.poller.bySource.get('ai')
  expect(poller?.breaker()).toBe('open')
  await pass(10_000)
  await pass(20_000)
  const told = () => logs.map(({ msg }) => String(msg)).filter((msg) => msg.includes('key'))
  expect(told()).toEqual(['the provider refuses the key of this source'])
  expect(provider.seen.requests.length).toBeLessThan(30)
  isRefused = false
  await pass(20_000)
  expect(poller?.breaker()).toBe('closed')
  expect(told()).toEqual([
    'the provider refuses the key of this source',
    'the provider accepts the key of this source again',
  ])
})

import { describe, expect, onTestFinished, test } from 'vitest'
import ai from '../../src/providers/ai/provider.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

const TASKS = 200
const PAUSE_MS = 10_000
const SCAN_MS = 1_000

test('calls to a provider that is down fall to a trickle, and all its tasks end once it is back', async () => {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  let nowMs = Date.now()
  let asked = 0
  const call = callerOf(provider.url)
  const tasksOf = { ...ai.api.tasks, concurrency: 8, pollsPerSecond: 1_000 }
  const { tasks, store, logs } = await startTaskRig({
    clock: () => nowMs,
    random: () => 0,
    pollIntervalMs: SCAN_MS,
    breakerPauseMs: PAUSE_MS,
    sources: [
      {
        call: (request, signal) => {
          asked++
          return call(request, signal)
        },
        provider: { ...ai, api: { ...ai.api, tasks: tasksOf } },
      },
    ],
  })
  const ids = Array.from({ length: TASKS }, () => provider.create())
  for (const id of ids) provider.finish(id, 'completed')
  await Promise.all(ids.map((taskId) => tasks.service.begin({ source: 'ai', work: { taskId } })))

  provider.setDown(true)
  await tasks.poller.pass()
  // Those in a row that open it, and what was under way beside them.
  expect(asked).toBeLessThan(30)
  expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('open')
  const { breaker, outage } = await tasks.stateOf('ai')
  expect(breaker).toBe('open')
  expect(outage).toMatchObject({ sinceMs: nowMs, cause: expect.stringContaining('The connection broke') })
  expect(outage?.retryInMs).toBeLessThanOrEqual(PAUSE_MS)

  asked = 0
  for (let second = 0; second < 60; second++) {
    nowMs += SCAN_MS
    await tasks.poller.pass()
  }
  // One in each pause.
  expect(asked).toBeGreaterThanOrEqual(4)
  expect(asked).toBeLessThanOrEqual(6)

  provider.setDown(false)
  for (let second = 0; second < 120; second++) {
    nowMs += SCAN_MS
    await tasks.poller.pass()
  }
  const ended = await Promise.all(ids.map((id) => store.task('ai', id)))
  expect(ended.filter((task) => task?.status === 'completed')).toHaveLength(TASKS)
  expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('closed')
  expect((await tasks.stateOf('ai')).outage).toBeUndefined()
  const told = logs.map(({ msg }) => String(msg)).filter((msg) => msg.startsWith('the provider'))
  expect(new Set(told)).toEqual(new Set(['the provider fails: polls pause', 'the provider answers again: polls go on']))
})

describe('while the breaker of a source is open,', () => {
  test('the submissions that are to be repeated count among its few calls', async () => {
    const provider = await startFakeProvider({
      misbehaveOnSubmit: () => ({ kind: 'status', status: 503, created: false }),
    })
    onTestFinished(() => provider.close())
    let nowMs = Date.now()
    const { tasks, store } = await startTaskRig({
      clock: () => nowMs,
      random: () => 0,
      breakerPauseMs: 3_600_000,
      sources: [{ call: callerOf(provider.url) }],
    })
    const begun = await Promise.all(
      Array.from({ length: 30 }, () => tasks.service.begin({ source: 'ai', work: { submit: '{"data":1}' } })),
    )
    expect(begun.every(({ task }) => task.status === 'submitting')).toBe(true)
    const first = provider.seen.submissions
    for (let minute = 0; minute < 10; minute++) {
      nowMs += 60_000
      await tasks.poller.pass()
    }
    expect(provider.seen.submissions - first).toBeLessThan(30)
    expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('open')
    expect((await store.counts()).tasks.submitting).toBe(30)
  })

  test('a request to poll one of its tasks now is refused with the reason', async () => {
    const provider = await startFakeProvider({ misbehave: () => ({ kind: 'status', status: 500 }) })
    onTestFinished(() => provider.close())
    const { tasks } = await startTaskRig({
      breakerPauseMs: 3_600_000,
      maxWaitMs: 3_600_000,
      sources: [{ call: callerOf(provider.url) }],
    })
    const id = provider.create()
    await tasks.service.begin({ source: 'ai', work: { taskId: id } })
    for (let n = 0; n < 5; n++) await tasks.service.poll('ai', id)
    await expect(tasks.service.poll('ai', id)).rejects.toMatchObject({ code: 'conflict' })
    expect(provider.seen.pollsOf(id)).toBe(5)
  })
})

import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import type { TaskName } from '../../src/domain/task-ends.ts'
import { TaskWaiters } from '../../src/tasks/task-waiters.ts'
import { eventually } from '../support/eventually.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

const PENDING = 10_000
const STALE = 100
const WAITERS = 1_000

test(`a pass over ${PENDING} pending tasks polls the ${STALE} stale ones, once each, and no others`, async () => {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const { tasks, store } = await startTaskRig({
    pollIntervalMs: 60_000,
    sources: [{ call: callerOf(provider.url) }],
  })
  const fresh = Array.from({ length: PENDING - STALE }, (_, at) => `fresh_${at}`)
  const stale = Array.from({ length: STALE }, () => provider.create())
  const begin = (taskId: string, maxWaitMs: number) =>
    tasks.service.begin({ source: 'ai', work: { taskId }, maxWaitMs, deadlineMs: 86_400_000 })
  for (let at = 0; at < fresh.length; at += 1_000)
    await Promise.all(fresh.slice(at, at + 1_000).map((id) => begin(id, 3_600_000)))
  await Promise.all(stale.map((id) => begin(id, 0)))

  await tasks.poller.pass()
  expect([...provider.seen.polls.keys()].toSorted()).toEqual(stale.toSorted())
  expect(new Set(provider.seen.polls.values())).toEqual(new Set([1]))
  expect(provider.seen.requests).toHaveLength(STALE)
  await eventually(
    () => store.counts(),
    ({ tasks: counts }) => counts.pending === PENDING,
  )
})

/** The store, and how often each of its methods was called. */
function counted(store: OpenStore): { store: OpenStore; calls: Map<string, number> } {
  const calls = new Map<string, number>()
  const proxy = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      calls.set(String(name), (calls.get(String(name)) ?? 0) + 1)
      return value.bind(target)
    },
  })
  return { store: proxy, calls }
}

test(`${WAITERS} waiting clients cause reads of the store when they come and when they leave, and none between`, async () => {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const call = callerOf(provider.url)
  const first = await startTaskRig({ sources: [{ call }] })
  const { store, calls } = counted(first.store)
  const { tasks } = await startTaskRig({ store, sources: [{ call }], maxWaitMs: 3_600_000 })
  const ids = Array.from({ length: WAITERS / 10 }, () => provider.create())
  await Promise.all(ids.map((taskId) => tasks.service.begin({ source: 'ai', work: { taskId } })))

  const waiting = Array.from({ length: WAITERS }, (_, at) =>
    tasks.service.show('ai', ids[at % ids.length] ?? '', 60_000, new AbortController().signal),
  )
  // Those who come at the same moment for the same task even share the look.
  await eventually(
    async () => calls.get('task') ?? 0,
    (count) => count >= ids.length,
  )
  const before = calls.get('task') ?? 0
  expect(before).toBeLessThanOrEqual(WAITERS)
  // Time goes by, and the poller does its rounds.
  for (let round = 0; round < 20; round++) await tasks.poller.pass()
  expect(calls.get('task')).toBe(before)
  expect(provider.seen.requests).toHaveLength(0)

  await Promise.all(ids.map((id) => tasks.service.cancel('ai', id)))
  const answered = await Promise.all(waiting)
  expect(new Set(answered.map(({ status }) => status))).toEqual(new Set(['cancelled']))
  expect(calls.get('task')).toBeLessThanOrEqual(before + WAITERS + ids.length)
})

test('the number of waiting clients is bounded, and each one that leaves makes room', async () => {
  const waiters = new TaskWaiters(() => () => {}, 2)
  const leaving = new AbortController()
  const staying = new AbortController()
  const left = waiters.wait('ai', 'a', 60_000, leaving.signal)
  const stayed = waiters.wait('ai', 'a', 60_000, staying.signal)
  expect(() => waiters.wait('ai', 'b', 60_000, staying.signal)).toThrow(
    expect.objectContaining({ code: 'unavailable' }),
  )
  leaving.abort()
  await left
  const third = waiters.wait('ai', 'b', 60_000, staying.signal)
  waiters.close()
  await Promise.all([stayed, third])
  await waiters.wait('ai', 'c', 60_000, staying.signal)
})

test('the service watches for ends at other replicas while a client waits, once for all clients, and wakes those that wait', async () => {
  const listeners = new Set<(ended: TaskName) => void>()
  let watches = 0
  const waiters = new TaskWaiters((listener) => {
    watches++
    listeners.add(listener)
    return () => void listeners.delete(listener)
  })
  const tell = (ended: TaskName): void => {
    for (const listener of listeners) listener(ended)
  }
  const { signal } = new AbortController()
  expect(watches).toBe(0)
  const byId = waiters.wait('ai', 'a', 60_000, signal)
  const byUid = waiters.wait('ai', 'uid-b', 60_000, signal)
  tell({ uid: 'uid-a', source: 'ai', id: 'a' })
  await byId
  expect([watches, listeners.size]).toEqual([1, 1])
  tell({ uid: 'uid-b', source: 'ai', id: null })
  await byUid
  expect([watches, listeners.size]).toEqual([1, 0])
  const again = waiters.wait('ai', 'a', 60_000, signal)
  expect([watches, listeners.size]).toEqual([2, 1])
  waiters.close()
  await again
  expect(listeners.size).toBe(0)
})

test('thousands of clients that wait for one task are all answered when it ends', async () => {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const { tasks } = await startTaskRig({ sources: [{ call: callerOf(provider.url) }], maxWaitMs: 3_600_000 })
  const id = provider.create()
  await tasks.service.begin({ source: 'ai', work: { taskId: id } })
  const { signal } = new AbortController()
  const waiting = Array.from({ length: 9_000 }, () => tasks.service.show('ai', id, 60_000, signal))
  await tasks.service.cancel('ai', id)
  expect(new Set((await Promise.all(waiting)).map(({ status }) => status))).toEqual(new Set(['cancelled']))
})

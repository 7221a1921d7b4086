import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Attempt } from '../../src/domain/delivery.ts'
import { eventually } from '../support/eventually.ts'
import { startDispatcher } from './start-dispatcher.ts'

const outcomes = (history: readonly Attempt[]): string[] => history.map(({ outcome }) => outcome)

describe('a delivery', () => {
  let shared: Awaited<ReturnType<typeof startDispatcher>>
  let end: (() => Promise<void>) | undefined
  beforeAll(async () => {
    shared = await startDispatcher({ maxAttempts: 5 }, (stop) => {
      end = stop
    })
  })
  afterAll(() => end?.())

  test('has succeeded after one attempt if its handler returns, and the metrics count it', async () => {
    const { append, ended, reports } = shared
    const before = reports.length
    const [delivery] = await ended(await append(['ok']))
    expect(delivery).toMatchObject({ state: 'succeeded', attempts: 1 })
    expect(reports.slice(before)).toEqual([{ kind: 'processed', handler: 'ok' }])
  })

  test('is retried while its handler throws, until it is dead after the last attempt; the metrics count every failure', async () => {
    const { append, ended, reports } = await startDispatcher({ maxAttempts: 3 })
    const [delivery] = await ended(await append(['throw']))
    expect(delivery).toMatchObject({ state: 'dead', attempts: 3, lastError: 'RangeError: too far' })
    expect(outcomes(delivery?.history ?? [])).toEqual(['failed', 'failed', 'failed'])
    expect(reports).toHaveLength(3)
  })

  test('is retried when the retry is due, not when the dispatcher next claims by itself', async () => {
    const { append, ended } = await startDispatcher({ maxAttempts: 40, maxIdleMs: () => 3_600_000 })
    expect(await ended(await append(['throw']))).toMatchObject([{ state: 'dead', attempts: 40 }])
  })

  test('is dead at once if its handler calls fail', async () => {
    const { append, ended } = shared
    const [delivery] = await ended(await append(['fail']))
    expect(delivery).toMatchObject({ state: 'dead', attempts: 1, lastError: 'no such customer' })
  })

  test('waits for as long as its handler asked for with retryAfter', async () => {
    const { append, store } = shared
    const before = Date.now()
    const uid = await append(['later'])
    const event = await eventually(
      () => store.event(uid),
      (detail) => detail?.deliveries[0]?.history.length === 1 && detail.deliveries[0].state === 'pending',
    )
    expect(event?.deliveries[0]?.dueAtMs).toBeGreaterThanOrEqual(before + 1_234)
  })

  test('stays pending if its handler is not registered, and does not keep the others from running', async () => {
    const { append, ended, store } = shared
    const orphan = await append(['gone'])
    expect(await ended(await append(['ok']))).toMatchObject([{ state: 'succeeded' }])
    expect((await store.event(orphan))?.deliveries).toMatchObject([{ state: 'pending', attempts: 0 }])
  })

  test('is claimed without a wake-up, within the time that the dispatcher sleeps', async () => {
    const { append, ended } = shared
    await ended(await append(['ok']))
    expect(await ended(await append(['ok'], {}, false))).toMatchObject([{ state: 'succeeded' }])
  })

  test('gets its turn while events keep coming in', async () => {
    const { append, ended } = await startDispatcher({ receiving: () => 1 })
    expect(await ended(await append(['ok']))).toMatchObject([{ state: 'succeeded' }])
  })
})

describe('a handler with a policy of its own', () => {
  test('has its own number of attempts and its own waits, and the others have those of the service', async () => {
    const { append, ended, store } = await startDispatcher({
      maxAttempts: 2,
      policies: { throw: { retry: { maxAttempts: 4 } }, raw: { retry: { baseMs: 1e8, capMs: 1e8 } } },
    })
    expect(await ended(await append(['throw']))).toMatchObject([{ state: 'dead', attempts: 4 }])
    expect(await ended(await append(['float']))).toMatchObject([{ state: 'dead', attempts: 2 }])
    const beforeMs = Date.now()
    const uid = await append(['raw'])
    const waiting = await eventually(
      () => store.event(uid),
      (event) => event?.deliveries[0]?.state === 'pending' && event.deliveries[0].attempts === 1,
    )
    // The wait is random: less than a second of a day and more happens once in 100,000 times.
    expect(waiting?.deliveries[0]?.dueAtMs).toBeGreaterThan(beforeMs + 1_000)
  })

  test('has its own deadline', async () => {
    const { append, ended } = await startDispatcher({
      maxAttempts: 1,
      timeoutMs: 60_000,
      policies: { hang: { timeoutMs: 100 } },
    })
    const [delivery] = await ended(await append(['hang']))
    expect(delivery).toMatchObject({ state: 'dead', lastError: 'the handler passed its deadline' })
  })
})

describe('a handler that ends its process', () => {
  test('costs the other attempts in the process nothing: each runs again, and only its own delivery is dead', async () => {
    const { append, ended } = await startDispatcher({ maxAttempts: 2, timeoutMs: 10_000 })
    const innocent = await Promise.all(Array.from({ length: 4 }, () => append(['wait'], { ms: 150 })))
    const guilty = await append(['exit'])

    const [dead] = await ended(guilty)
    expect(dead).toMatchObject({ state: 'dead', attempts: 2 })
    expect(new Set(outcomes(dead?.history ?? []))).toEqual(new Set(['process_lost']))
    for (const uid of innocent) expect(await ended(uid)).toMatchObject([{ state: 'succeeded', attempts: 1 }])
  })

  test.each(['loop', 'hoard', 'float'])(
    '(%s) has its delivery dead in the end, and all other deliveries succeed',
    async (name) => {
      const { append, ended } = await startDispatcher({ maxAttempts: 2, timeoutMs: 400, processes: 2 })
      const guilty = await append([name])
      const innocent = await Promise.all(Array.from({ length: 10 }, () => append(['ok'])))
      expect(await ended(guilty)).toMatchObject([{ state: 'dead', attempts: 2 }])
      for (const uid of innocent) expect(await ended(uid)).toMatchObject([{ state: 'succeeded' }])
    },
  )
})

test('a handler of which every attempt ends its process delays no other handler, however many of its attempts wait', async () => {
  const { append, ended, store } = await startDispatcher({ maxAttempts: 2, handlers: ['exit', 'ok'] })
  await Promise.all(Array.from({ length: 150 }, () => append(['exit'])))
  for (let times = 0; times < 10; times++)
    expect(await ended(await append(['ok']))).toMatchObject([{ state: 'succeeded' }])
  const { running, pending, dead } = (await store.counts()).deliveries
  expect(running).toBeLessThan(64)
  expect(running + pending + dead).toBe(150)
})

test('a handler runs no more attempts at once than its concurrency allows', async () => {
  const { append, ended, store } = await startDispatcher({ processes: 2 })
  const uids = await Promise.all(Array.from({ length: 6 }, () => append(['wait'], { ms: 60 })))
  const runs = (await Promise.all(uids.map(ended))).flat().flatMap(({ history }) => history)
  const spans = runs.map(({ startedAtMs, durationMs }) => [startedAtMs, startedAtMs + durationMs - 5] as const)
  const most = Math.max(...spans.map(([start]) => spans.filter(([from, to]) => from <= start && start < to).length))
  expect(most).toBeLessThanOrEqual(2)
  expect((await store.counts()).deliveries.dead).toBe(0)
})

describe('a dispatcher that stops', () => {
  test('lets running attempts finish, and claims nothing more', async () => {
    const { append, dispatcher, store } = await startDispatcher()
    const uid = await append(['wait'], { ms: 1_000 })
    await eventually(
      () => store.event(uid),
      (event) => event?.deliveries[0]?.state === 'running',
    )
    await dispatcher.stop(5_000, 0)
    expect((await store.event(uid))?.deliveries).toMatchObject([{ state: 'succeeded' }])
    const late = await append(['ok'])
    expect((await store.event(late))?.deliveries).toMatchObject([{ state: 'pending', attempts: 0 }])
  })

  test('releases attempts that do not finish in time, and does not count them', async () => {
    const { append, dispatcher, store } = await startDispatcher()
    const uid = await append(['hang'])
    await eventually(
      () => store.event(uid),
      (event) => event?.deliveries[0]?.state === 'running',
    )
    await dispatcher.stop(50, 50)
    expect((await store.event(uid))?.deliveries).toMatchObject([
      { state: 'pending', attempts: 0, history: [{ outcome: 'released' }] },
    ])
  })
})

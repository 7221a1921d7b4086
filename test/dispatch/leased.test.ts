import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startDispatcher } from './start-dispatcher.ts'

/** A dispatcher that has looked into its empty store, and sleeps. */
async function asleep(options: Parameters<typeof startDispatcher>[0] = {}) {
  const started = await startDispatcher({ maxIdleMs: () => 3_600_000, ...options })
  started.dispatcher.wake()
  await eventually(
    async () => started.dispatcher.offer(['ok'], 'acme'),
    (offer) => {
      if (offer !== undefined) started.dispatcher.take(offer, {} as never)
      return offer !== undefined
    },
  )
  return started
}

describe('an event whose handler has capacity', () => {
  test('runs without a claim', async () => {
    const { keep, ended, claims } = await asleep()
    const before = claims.length
    const { uid, leased } = await keep(['ok', 'wait'])
    expect(leased?.map(({ handler }) => handler)).toEqual(['ok', 'wait'])
    const deliveries = await ended(uid)
    expect(deliveries.find(({ handler }) => handler === 'ok')).toMatchObject({ state: 'succeeded', attempts: 1 })
    expect(claims.length).toBe(before)
  })

  test('runs when its turn comes, where deliveries have an order: one at a time, each as soon as the one before has ended', async () => {
    const { keep, ended } = await asleep()
    const orderKeys = { wait: 7 }
    const kept = await Promise.all(
      Array.from({ length: 20 }, (_, n) => keep(['wait'], { ms: n % 5 }, undefined, { orderKeys })),
    )
    expect(kept.every(({ leased }) => leased === undefined)).toBe(true)
    let endedAtMs = 0
    for (const { uid } of kept) {
      const [delivery] = await ended(uid)
      const [attempt] = delivery?.history ?? []
      expect(delivery).toMatchObject({ state: 'succeeded', attempts: 1 })
      expect(attempt?.startedAtMs).toBeGreaterThanOrEqual(endedAtMs)
      endedAtMs = Math.floor((attempt?.startedAtMs ?? 0) + (attempt?.durationMs ?? 0))
    }
  })

  test('is retried like any other event if its handler fails', async () => {
    const { keep, ended } = await asleep({ maxAttempts: 3 })
    expect(await ended((await keep(['throw'])).uid)).toMatchObject([{ state: 'dead', attempts: 3 }])
  })

  test('does not start twice when it is received twice, and the capacity reserved for it is free again', async () => {
    const { keep, ended, reports } = await asleep()
    const first = await keep(['ok'], {}, 'evt_1')
    await ended(first.uid)
    for (let times = 0; times < 20; times++)
      expect(await keep(['ok'], {}, 'evt_1')).toEqual({ outcome: 'duplicate', uid: first.uid })
    await ended((await keep(['ok'])).uid)
    expect(reports).toHaveLength(2)
  })

  test('runs after deliveries that have waited longer for its handler', async () => {
    const { keep, append, ended, store } = await asleep()
    // `wait` runs two at once.
    const running = [await keep(['wait'], { ms: 600 }), await keep(['wait'], { ms: 600 })]
    const older = await append(['wait'], { ms: 1 })
    const newer = await keep(['wait'], { ms: 1 })
    expect(newer.leased).toBeUndefined()
    await Promise.all([older, newer.uid, ...running.map(({ uid }) => uid)].map(ended))
    const startOf = async (uid: string) =>
      (await store.event(uid))?.deliveries[0]?.history[0]?.startedAtMs ?? Number.NaN
    expect((await startOf(older)) <= (await startOf(newer.uid))).toBe(true)
  })

  test('is released, not counted, when the service stops before it starts', async () => {
    const { dispatcher, pool, store, keep } = await asleep()
    const offer = dispatcher.offer(['ok'], 'acme')
    const stopped = dispatcher.stop(200, 50)
    await pool.close()
    const { uid } = await keep(['ok'])
    if (offer !== undefined) dispatcher.take(offer, {} as never)
    await stopped
    expect((await store.event(uid))?.deliveries).toMatchObject([{ state: 'pending', attempts: 0 }])
  })

  test('waits for a claim while many other events are being stored', async () => {
    const { keep, ended } = await startDispatcher({ receiving: () => 9 })
    const { uid, leased } = await keep(['ok'])
    expect(leased).toBeUndefined()
    expect(await ended(uid)).toMatchObject([{ state: 'succeeded' }])
  })
})

describe('a handler whose attempts hang', () => {
  test('may use all capacity, and the other handlers run all the same', async () => {
    const { append, keep, ended, store } = await startDispatcher({
      concurrency: 4,
      timeoutMs: 60_000,
      handlers: ['hang', 'ok', 'raw'],
    })
    const hanging = await Promise.all(Array.from({ length: 20 }, () => append(['hang'])))
    await eventually(
      () => store.counts(),
      ({ deliveries }) => deliveries.running === 4,
    )
    for (let times = 0; times < 5; times++)
      expect(await ended((await keep(['ok'])).uid)).toMatchObject([{ state: 'succeeded' }])
    expect((await store.counts()).deliveries).toMatchObject({ running: 4, pending: hanging.length - 4 })
  })
})

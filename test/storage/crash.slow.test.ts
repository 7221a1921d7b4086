import { expect, test } from 'vitest'
import { allPages, claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { ACKNOWLEDGED_BEFORE_THE_KILL, appendUntilKilled } from './crashed.ts'
import { openAt, ownPath } from './database-file.ts'

test('events that the embedded store acknowledged survive SIGKILL', async () => {
  const path = ownPath()
  const acknowledged = await appendUntilKilled(path)
  const store = await openAt(path)
  const kept = new Set((await allPages((page) => store.events({}, page), 200)).map(({ uid }) => uid))
  expect(acknowledged.length).toBeGreaterThanOrEqual(ACKNOWLEDGED_BEFORE_THE_KILL - 1)
  expect(acknowledged.filter((uid) => !kept.has(uid))).toEqual([])
})

test('a delivery that ran in a killed process is pending when the store opens and need not run alone, and its attempt is lost', async () => {
  const path = ownPath()
  await appendUntilKilled(path)
  const store = await openAt(path, Date.now())
  expect((await store.deliveries({ state: 'running' }, { limit: 1 })).items).toEqual([])
  const [event] = (await store.events({ q: 'claimed' }, { limit: 1 })).items
  const [delivery] = (await store.event(event?.uid ?? ''))?.deliveries ?? []
  expect(delivery).toMatchObject({ state: 'pending', attempts: 1, history: [{ number: 1, outcome: 'lease_lost' }] })
  const { work } = await store.claim(claimRequest())
  expect(work.map(({ isolated, attempt }) => ({ isolated, attempt }))).toEqual([{ isolated: false, attempt: 2 }])
})

test('all deliveries that ran in a killed process are leased again at once, and run alone only if they were lost twice in a row', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const lease = { handlers: ['a'], leaseMs: 60_000 }
  await Promise.all(Array.from({ length: 200 }, () => first.append(newEvent({ lease }))))
  const late = { dueAtMs: START_MS, verdict: 'retry', outcome: 'failed' } as const
  await first.close()
  const isolatedAtOpen: number[] = []
  for (const round of [1, 2]) {
    const store = await openAt(path)
    const { work } = await store.claim(
      claimRequest({ sharedLimit: 500, isolatedLimit: 500, handlers: [{ name: 'a', limit: 500 }] }),
    )
    expect(work).toHaveLength(200)
    isolatedAtOpen.push(work.filter(({ isolated }) => isolated).length)
    // Those that fail in between are not lost twice in a row.
    if (round === 1) {
      await store.settle(work.slice(0, 50).map((each) => settlement(each, late)))
      await store.claim(claimRequest())
    }
    await store.close()
  }
  expect(isolatedAtOpen).toEqual([0, 150])
})

test('a delivery that ran its last attempt in a killed process is dead at the next claim', async () => {
  const path = ownPath()
  await appendUntilKilled(path)
  const store = await openAt(path, Date.now())
  expect((await store.claim(claimRequest({ maxAttempts: 1 }))).work).toEqual([])
  const [dead] = (await store.deliveries({ state: 'dead' }, { limit: 1 })).items
  expect(dead).toMatchObject({ attempts: 1, lastError: expect.any(String) })
})

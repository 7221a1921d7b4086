import { expect, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { claimRequest, newEvent, pruned } from '../contract/store-samples.ts'
import { endEvent, newTask, taskBy } from '../contract/task-samples.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

const open = (url = ownSchema()): Promise<OpenStore> => openReplica(url)

const now = () => ({ receivedAtMs: Date.now() })
const times = <Item>(count: number, make: () => Item): Item[] => Array.from({ length: count }, make)
/** The store's URL, with what a role or a database may have set. */
function urlWith(settings: string): string {
  const url = new URL(ownSchema())
  url.searchParams.set('options', settings)
  return url.href
}

test('a claim marks deliveries without an attempt left as dead in bounded numbers', async () => {
  const url = ownSchema()
  const store = await open(url)
  await Promise.all(times(300, () => store.append(newEvent(now()))))
  await queryIn(url, 'UPDATE delivery SET attempts = 7')
  const claim = () => store.claim(claimRequest({ sharedLimit: 1, isolatedLimit: 1 }))
  const { work, nextDueAtMs } = await claim()
  expect(work).toEqual([])
  expect((nextDueAtMs ?? Number.POSITIVE_INFINITY) - Date.now()).toBeLessThan(1_000)
  expect((await store.counts()).deliveries).toMatchObject({ pending: 200, dead: 100 })
  for (let n = 0; n < 3; n++) await claim()
  expect((await store.counts()).deliveries).toMatchObject({ pending: 0, dead: 300 })
})

test('two replicas that prune the same day at once both succeed', async () => {
  const url = ownSchema()
  const stores = [await open(url), await open(url)]
  for (let n = 0; n < 6; n++) {
    const oldMs = Date.parse('2026-01-05T12:00:00Z') + n * 86_400_000
    await stores[0]?.append(newEvent({ receivedAtMs: oldMs, handlers: [] }))
    const counts = await Promise.all(stores.map((store) => pruned(store, oldMs + 86_400_000, 100)))
    expect(counts.toSorted((a, b) => a - b)).toEqual([0, 1])
  }
})

test('a task and its end find each other at any default transaction isolation', async () => {
  const url = urlWith('-c default_transaction_isolation=repeatable\\ read')
  const [one, other] = [await open(url), await open(url)]
  const tasks = times(100, () => newTask())
  await Promise.all(tasks.flatMap((task) => [one.track(task), other.append(endEvent(task, now()))]))
  const found = await Promise.all(tasks.map(({ uid }) => taskBy(other, uid)))
  expect(found.filter(({ status }) => status !== 'completed')).toEqual([])
})

test('a repeated track of a known task is answered only after a commit that writes', async () => {
  const url = ownSchema()
  const store = await open(url)
  const task = newTask()
  await store.track(task)
  const writes = async () => (await queryIn<{ n: number }>(url, 'SELECT count(*)::integer AS n FROM tally'))[0]?.n ?? 0
  const before = await writes()
  expect(await store.track({ ...task })).toMatchObject({ created: false })
  expect(await writes()).toBeGreaterThan(before)
})

import { expect, test } from 'vitest'
import type { DeliverySummary } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { Damage, DamagedPage } from '../../src/storage/sqlite/damage.ts'
import { SQLITE_CORRUPT } from '../../src/storage/sqlite/errors.ts'
import { allPages, claimRequest, codeOf, newEvent, pruned, START_MS, settlement } from '../contract/store-samples.ts'
import { zeroLeaf } from './damaged-database.ts'
import { openAt, ownPath } from './database-file.ts'

const EVENTS = 1_500

/** A database with pending deliveries of handler `a`, of which a page was zeroed while it was closed; opened again. */
async function damaged(
  name: string,
  leaf: number,
  { count = 200, also }: { readonly count?: number; readonly also?: string } = {},
): Promise<{ store: OpenStore; events: readonly NewEvent[] }> {
  const path = ownPath()
  const first = await openAt(path)
  const events = Array.from({ length: count }, (_, n) =>
    newEvent({ body: Buffer.alloc(1_000, 'b'), receivedAtMs: START_MS - EVENTS + n }),
  )
  await Promise.all(events.map((event) => first.append(event)))
  await first.close()
  zeroLeaf(path, name, leaf)
  if (also !== undefined) zeroLeaf(path, also, leaf)
  return { store: await openAt(path), events }
}

/** Claims and settles until nothing more is given; gives the uids of what ran. */
async function drain(store: OpenStore): Promise<readonly string[]> {
  const ran: string[] = []
  for (;;) {
    const { work, nextDueAtMs } = await store.claim(
      claimRequest({ sharedLimit: 64, handlers: [{ name: 'a', limit: 64 }] }),
    )
    if (work.length === 0 && nextDueAtMs !== START_MS) return ran
    ran.push(...work.map(({ event }) => event.uid))
    await store.settle(work.map((each) => settlement(each)))
  }
}

/** What the same events come to, some at a time. */
async function outcomesAgain(store: OpenStore, events: readonly NewEvent[], given: Partial<NewEvent> = {}) {
  const outcomes = new Set<string>()
  for (const some of batchesOf(events, 30)) {
    const receipts = await Promise.all(some.map(({ id, body }) => store.append({ ...newEvent(given), id, body })))
    for (const { outcome } of receipts) outcomes.add(outcome)
  }
  return outcomes
}

const batchesOf = <Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size))

const dead = (store: OpenStore): Promise<readonly DeliverySummary[]> =>
  allPages((page) => store.deliveries({ state: 'dead' }, page), 100)

test('a damaged page of bodies costs only its own deliveries: they are dead with the reason, and the rest runs', async () => {
  const { store, events } = await damaged('event_body', 3)
  const ran = await drain(store)
  const lost = await dead(store)
  expect(lost.length).toBeGreaterThan(0)
  expect(lost.length).toBeLessThan(20)
  expect(lost.every(({ lastError }) => lastError?.startsWith('body cannot be read: '))).toBe(true)
  expect([...ran, ...lost.map(({ eventUid }) => eventUid)].toSorted()).toEqual(events.map(({ uid }) => uid).toSorted())

  const [one] = lost
  expect((await store.event(one?.eventUid ?? ''))?.deliveries[0]?.history).toMatchObject([{ outcome: 'body_corrupt' }])
  expect(await codeOf(store.body(one?.eventUid ?? ''))).toBe('body_corrupt')
  expect((await store.body(ran[0] ?? '')).length).toBe(1_000)
  expect(store.faults()).toEqual([])
  expect(store.warnings()).toEqual([expect.stringContaining('the database is damaged')])
})

test('the embedded store takes and runs events as before while a damaged page is among the due deliveries', async () => {
  const { store } = await damaged('event_body', 3)
  const later = Array.from({ length: 20 }, () => newEvent())
  const [, ran] = await Promise.all([Promise.all(later.map((event) => store.append(event))), drain(store)])
  const all = [...ran, ...(await drain(store))]
  expect(all).toEqual(expect.arrayContaining(later.map(({ uid }) => uid)))
})

test.each(['event', 'delivery', 'attempt'])(
  'a damaged page of the table %s stops neither new events nor undamaged ones',
  async (table) => {
    const path = ownPath()
    const first = await openAt(path)
    const events = Array.from({ length: EVENTS }, () => newEvent())
    await Promise.all(events.map((event) => first.append(event)))
    // One attempt each, so that there is a history to be damaged.
    const { work } = await first.claim(claimRequest({ sharedLimit: EVENTS, handlers: [{ name: 'a', limit: EVENTS }] }))
    await first.settle(
      work.map((each) => settlement(each, { verdict: 'retry', outcome: 'failed', error: 'x'.repeat(100), dueAtMs: 1 })),
    )
    await first.close()
    zeroLeaf(path, table, 1)
    const store = await openAt(path)
    const ran = await drain(store)
    expect(ran.length).toBeGreaterThan(EVENTS * 0.2)
    const later = newEvent()
    await store.append(later)
    expect(await drain(store)).toEqual([later.uid])
    expect(store.faults()).toEqual([])
  },
)

test('a damaged page of the index of due deliveries and of its table costs the deliveries there, and none that come later', async () => {
  const { store } = await damaged('delivery_pending', 1, { count: EVENTS, also: 'delivery' })
  const ran = await drain(store)
  expect(ran.length).toBeGreaterThan(EVENTS * 0.2)
  const later = newEvent()
  await store.append(later)
  expect(await drain(store)).toEqual([later.uid])
})

test('when the page for new events is damaged, the embedded store refuses them and says what to do', async () => {
  const { store } = await damaged('event_body', -1)
  for (let n = 0; n < 3; n++) expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
  expect(store.faults()).toEqual([expect.stringMatching(/damaged.*recover/)])
  expect((await drain(store)).length).toBeGreaterThan(150)
})

test('when the page of the newest events is damaged, the embedded store opens and runs older events', async () => {
  const { store } = await damaged('event', -1)
  expect((await drain(store)).length).toBeGreaterThan(150)
  expect(store.warnings()).toEqual([expect.stringContaining('the database is damaged')])
  expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
})

test('events whose judgement is on a damaged page are judged again, and the others that come again are duplicates', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const events = Array.from({ length: EVENTS }, () => newEvent())
  await Promise.all(events.map((event) => first.append(event)))
  const { work } = await first.claim(claimRequest({ sharedLimit: EVENTS, handlers: [{ name: 'a', limit: EVENTS }] }))
  const refused = { verdict: 'dead', outcome: 'rejected', quarantine: ['no'], judgement: 'by a schema' } as const
  await first.settle(work.map((each) => settlement(each, refused)))
  await first.close()
  zeroLeaf(path, 'attempt', 1)
  const store = await openAt(path)
  expect(await outcomesAgain(store, events, { unjudged: ['by a schema'] })).toEqual(new Set(['duplicate', 'accepted']))
  expect(store.faults()).toEqual([])
})

test('an event whose deliveries are on a damaged page is a duplicate when it comes again', async () => {
  const { store, events } = await damaged('delivery', 1, { count: EVENTS })
  expect(await outcomesAgain(store, events)).toEqual(new Set(['duplicate']))
})

test('an event whose count of repeats is on a damaged page is a duplicate when it comes again, is shown, and is deleted', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const given = { handlers: [], status: 'unhandled', receivedAtMs: START_MS - 900_000_000 } as const
  const events = Array.from({ length: EVENTS }, () => newEvent(given))
  await Promise.all(events.map((event) => first.append(event)))
  expect(await outcomesAgain(first, events)).toEqual(new Set(['duplicate']))
  await first.append(newEvent())
  await first.close()
  zeroLeaf(path, 'event_repeat', 0)
  const store = await openAt(path)
  expect(await outcomesAgain(store, events)).toEqual(new Set(['duplicate']))
  const times = await Promise.all(events.map(async ({ uid }) => (await store.event(uid))?.repeats?.times))
  expect(times.filter((each) => each === 2).length).toBeGreaterThan(EVENTS / 4)
  expect(times).toContain(undefined)
  expect(await pruned(store, START_MS - 800_000_000, EVENTS)).toBe(EVENTS)
  expect(store.faults()).toEqual([])
})

test('lists show the events that can be read when a page of events is damaged', async () => {
  const { store } = await damaged('event', 2)
  const ran = await drain(store)
  const listed = await allPages((page) => store.events({}, page), 50)
  expect(listed.map(({ uid }) => uid)).toEqual(expect.arrayContaining([...ran]))
  const succeeded = await allPages((page) => store.deliveries({ state: 'succeeded' }, page), 50)
  expect(succeeded).toHaveLength(ran.length)
  expect(await dead(store)).toEqual([])
  expect((await store.counts()).deliveries.dead).toBeGreaterThan(0)
})

test.each([
  ['of all deliveries', {}],
  ['of pending deliveries', { state: 'pending' }],
  ['of a source', { source: 'stripe' }],
] as const)(
  'a list %s shows the deliveries that can be read when a page of deliveries is damaged, page by page',
  async (_, filter) => {
    const { store, events } = await damaged('delivery', 1, { count: EVENTS })
    const listed = await allPages((page) => store.deliveries(filter, page), 70)
    const uids = events.map(({ uid }) => uid).reverse()
    const seen = new Set(listed.map(({ eventUid }) => eventUid))
    expect(listed.map(({ eventUid }) => eventUid)).toEqual(uids.filter((uid) => seen.has(uid)))
    expect([...seen].at(-1)).toBe(uids.at(-1))
    expect(seen.size).toBeLessThan(events.length)
  },
)

test('the list of dead letters shows those that can be read, the last to die first, when a page of deliveries is damaged', async () => {
  const path = ownPath()
  const first = await openAt(path)
  await Promise.all(Array.from({ length: EVENTS }, () => first.append(newEvent())))
  const { work } = await first.claim(claimRequest({ sharedLimit: EVENTS, handlers: [{ name: 'a', limit: EVENTS }] }))
  await first.settle(work.map((each) => settlement(each, { verdict: 'dead', outcome: 'rejected', error: 'x' })))
  const all = (await dead(first)).map(({ eventUid }) => eventUid)
  await first.close()
  zeroLeaf(path, 'delivery', 1)
  const seen = (await dead(await openAt(path))).map(({ eventUid }) => eventUid)
  expect(seen.at(-1)).toBe(all.at(-1))
  expect(seen.length).toBeLessThan(all.length)
  expect(seen).toEqual(all.filter((uid) => seen.includes(uid)))
})

test('the store reports a row that it leaves out once, though it meets the row again after rebuilding its indexes', () => {
  const told: unknown[] = []
  const damage = new Damage(
    ({ subject }) => told.push(subject),
    () => true,
  )
  const fail = (): never => {
    throw Object.assign(new Error('malformed'), { errcode: SQLITE_CORRUPT })
  }
  const read = (subject: number): string => damage.around('the row of', subject, fail, () => 'left out')
  const meet = (subject: number): void => {
    expect(() => read(subject)).toThrow(DamagedPage)
    damage.avoid(new DamagedPage('the row of', subject, new Error('malformed')))
    expect(read(subject)).toBe('left out')
  }
  meet(1)
  expect(damage.mended()).toBe(true)
  meet(1)
  meet(2)
  expect(told).toEqual([1, 2])
})

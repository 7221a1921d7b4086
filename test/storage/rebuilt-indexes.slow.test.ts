import { expect, onTestFinished, test, vi } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { firstHash } from '../../src/storage/sqlite/identity-index.ts'
import { prepareRebuild } from '../../src/storage/sqlite/rebuild-indexes.ts'
import { allPages, claimRequest, codeOf, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { zeroLeaf } from './damaged-database.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

const EVENTS = 1_500

interface Damaged {
  readonly store: OpenStore
  readonly events: readonly NewEvent[]
  readonly log: readonly string[]
  readonly path: string
}

/** A store with pending deliveries of handler `a`, of which leaves of some tables or indexes were zeroed while it was closed. */
async function damaged(...leaves: readonly (readonly [name: string, leaf: number])[]): Promise<Damaged> {
  const path = ownPath()
  const first = await openAt(path)
  const events = Array.from({ length: EVENTS }, (_, n) => newEvent({ receivedAtMs: START_MS - EVENTS + n }))
  await Promise.all(events.map((event) => first.append(event)))
  await first.close()
  writeIds(path, events)
  for (const [name, leaf] of leaves) zeroLeaf(path, name, leaf)
  const log: string[] = []
  const store = await openStore(`file:${path}`, {
    clock: () => START_MS,
    onLog: (_, message) => log.push(message),
  })
  onTestFinished(() => store.close())
  return { store, events, log, path }
}

/** As the store does for itself once there are very many. */
function writeIds(path: string, events: readonly NewEvent[]): void {
  withDatabase(path, (db) => {
    const insert = db.prepare('INSERT INTO dedupe SELECT ?, key FROM event WHERE uid = ?')
    for (const { source, id, uid } of events) insert.run(firstHash(source, id), uid)
    db.exec("UPDATE watermark SET value = (SELECT max(key) FROM event) WHERE name = 'dedupe'")
  })
}

/** From all over them: one of each page at least. */
const some = (events: readonly NewEvent[]): readonly NewEvent[] => events.filter((_, n) => n % 10 === 0)

const again = (event: NewEvent): NewEvent => ({ ...newEvent(), id: event.id, body: event.body })

async function drain(store: OpenStore): Promise<readonly string[]> {
  const { work } = await store.claim(
    claimRequest({ sharedLimit: 2 * EVENTS, handlers: [{ name: 'a', limit: 2 * EVENTS }] }),
  )
  await store.settle(work.map((each) => settlement(each)))
  return work.map(({ event }) => event.uid)
}

const faultsIn = (path: string): readonly string[] =>
  withDatabase(path, (db) => db.prepare('PRAGMA integrity_check').all())
    .flatMap(({ integrity_check }) => String(integrity_check).split('\n'))
    .filter((line) => !/^\*\*\* in database main|^Page \d+: never used$|^ok$/.test(line))

test('the store rebuilds the table of ids when an event meets a damaged page of it, refuses no event and takes none twice', async () => {
  const { store, events, log, path } = await damaged(['dedupe', 1])
  const receipts = await Promise.all(events.map((event) => store.append(again(event))))
  expect(receipts).toEqual(events.map(({ uid }) => expect.objectContaining({ outcome: 'duplicate', uid })))
  const fresh = newEvent()
  expect(await store.append(fresh)).toMatchObject({ outcome: 'accepted' })
  expect(await store.append(again(fresh))).toMatchObject({ outcome: 'duplicate', uid: fresh.uid })
  expect(store.warnings()).toEqual([expect.stringMatching(/^dedupe, an index, was damaged, and was rebuilt/)])
  expect(log).toEqual([...store.warnings()])
  expect(store.faults()).toEqual([])
  await store.close()
  expect(faultsIn(path)).toEqual([])
})

test('an event in conflict is found by its id in a rebuilt table of ids', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const events = Array.from({ length: EVENTS }, (_, n) => newEvent({ receivedAtMs: START_MS - EVENTS + n }))
  await Promise.all(events.map((event) => first.append(event)))
  const [bad = newEvent()] = events
  const corrected = { ...again(bad), body: Buffer.from('corrected') }
  expect((await first.append(corrected)).outcome).toBe('conflict')
  await first.close()
  writeIds(path, events)
  zeroLeaf(path, 'dedupe', 1)
  const store = await openAt(path)
  onTestFinished(() => store.close())
  await Promise.all(events.map((event) => store.append(again(event))))
  const { work } = await store.claim(claimRequest({ sharedLimit: EVENTS, handlers: [{ name: 'a', limit: EVENTS }] }))
  const refused = work.find(({ event }) => event.uid === bad.uid) ?? expect.unreachable()
  const routes = { source: 'stripe', accepts: ['*'], handlers: [{ name: 'a', types: ['*'] }] }
  const given = { verdict: 'dead', outcome: 'rejected', quarantine: ['no'], routes } as const
  expect(await store.settle([settlement(refused, given)])).toEqual([true])
  expect(await store.event(corrected.uid)).toMatchObject({ status: 'accepted', deliveries: [{ state: 'pending' }] })
})

test('the store does not rebuild the table of ids when a page of events is damaged too: it refuses their resends, and takes none twice', async () => {
  const { store, events } = await damaged(['dedupe', 1], ['event', 1])
  const outcomes: string[] = []
  for (const event of some(events))
    outcomes.push((await store.append(again(event)).catch(() => ({ outcome: 'refused' }))).outcome)
  expect(new Set(outcomes)).toEqual(new Set(['duplicate', 'refused']))
  expect(store.warnings()).toContainEqual(expect.stringMatching(/^dedupe, an index, is damaged, and cannot be rebuilt/))
})

test.each(['delivery_pending', 'event_by_uid', 'event_by_time', 'event_by_type'])(
  'a damaged page of the index %s costs nothing once the store has met it',
  async (index) => {
    const { store, events, path } = await damaged([index, 1])
    const [one] = events
    await codeOf(allPages((page) => store.events({ source: 'stripe' }, page), 200))
    await codeOf(allPages((page) => store.events({}, page), 200))
    for (const event of some(events)) await codeOf(store.event(event.uid))
    expect((await drain(store)).toSorted()).toEqual(events.map(({ uid }) => uid).toSorted())
    expect(await allPages((page) => store.events({ source: 'stripe' }, page), 200)).toHaveLength(EVENTS)
    expect(await allPages((page) => store.events({}, page), 200)).toHaveLength(EVENTS)
    for (const event of some(events)) expect(await store.event(event.uid)).toMatchObject({ uid: event.uid })
    expect(await store.append(again(one ?? newEvent()))).toMatchObject({ outcome: 'duplicate' })
    expect(store.warnings()).toEqual([expect.stringMatching(`^${index}, an index, was damaged, and was rebuilt`)])
    await store.close()
    expect(faultsIn(path)).toEqual([])
  },
)

test('the store rebuilds a damaged index of leases while it opens, and interrupted deliveries run again', async () => {
  const path = ownPath()
  const first = await openAt(path)
  await Promise.all(Array.from({ length: EVENTS }, () => first.append(newEvent())))
  await first.claim(claimRequest({ sharedLimit: EVENTS, handlers: [{ name: 'a', limit: EVENTS }] }))
  await first.close()
  zeroLeaf(path, 'delivery_running', 0)
  const store = await openAt(path)
  expect(await drain(store)).toHaveLength(EVENTS)
  expect(store.warnings()).toEqual([expect.stringMatching(/^delivery_running, an index, was damaged/)])
})

/** Takes the entries out of a partial index that its table has. */
function emptyIndex(path: string, index: string): void {
  withDatabase(path, (db) => {
    const sql = String(db.prepare('SELECT sql FROM sqlite_schema WHERE name = ?').get(index)?.sql)
    const define = (text: string): void => {
      db.exec('PRAGMA writable_schema = ON')
      db.prepare('UPDATE sqlite_schema SET sql = ? WHERE name = ?').run(text, index)
      db.exec('PRAGMA writable_schema = RESET')
    }
    db.enableDefensive(false)
    define(`${sql} AND false`)
    db.exec(`REINDEX ${index}`)
    define(sql)
  })
}

test('the store rebuilds an index that lacks rows once a settlement meets one of them, and the settlement takes effect', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const { uid, leased = [] } = await first.append(newEvent({ lease: { handlers: ['a'], leaseMs: 30_000 } }))
  expect(leased).toHaveLength(1)
  emptyIndex(path, 'delivery_running')
  expect(faultsIn(path)).not.toEqual([])
  expect(await first.settle(leased.map((each) => settlement(each)))).toEqual([true])
  expect(await first.event(uid)).toMatchObject({ deliveries: [{ state: 'succeeded' }] })
  expect(first.warnings()).toEqual([expect.stringMatching(/^an index lacked rows, and all indexes were rebuilt in/)])
  await first.close()
  expect(faultsIn(path)).toEqual([])
})

test('the store checks its indexes less often the longer a check takes, whatever damage it meets', async () => {
  const path = ownPath()
  await (await openAt(path)).close()
  withDatabase(path, (db) => {
    let nowMs = 0
    const prepared = vi.spyOn(db, 'prepare')
    const rebuild = prepareRebuild(db, { found: () => {} }, () => nowMs)
    const looksAfter = (ms: number, tookMs: number): boolean => {
      nowMs += ms
      prepared.mockClear().mockImplementationOnce((sql) => {
        nowMs += tookMs
        return db.prepare(sql)
      })
      expect(rebuild()).toBe(false)
      return prepared.mock.calls.length > 0
    }
    expect(looksAfter(0, 100)).toBe(true)
    expect(looksAfter(599_000, 0)).toBe(false)
    expect(looksAfter(2_000, 3_000)).toBe(true)
    expect(looksAfter(2_999_000, 0)).toBe(false)
    expect(looksAfter(2_000, 0)).toBe(true)
  })
})

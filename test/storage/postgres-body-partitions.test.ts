import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, newEvent, pruned, settlement } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

const DAY_MS = 86_400_000
const OLD_MS = Date.parse('2026-01-05T12:00:00Z')

async function open(): Promise<{ store: OpenStore; url: string; days: () => Promise<string[]> }> {
  const url = ownSchema()
  const store = await openStore(url)
  onTestFinished(() => store.close())
  const sql = `SELECT c.relname::text AS name FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname LIKE 'event_body_2026%' AND c.relkind = 'r' ORDER BY 1`
  const days = async () => (await queryIn<{ name: string }>(url, sql)).map(({ name }) => name.slice(-4))
  return { store, url, days: async () => (await days()).filter((day) => day.startsWith('01')) }
}

const old = (days: number, given = {}) => newEvent({ receivedAtMs: OLD_MS + days * DAY_MS, handlers: [], ...given })

test('an event of a day without a partition gets one, and its neighbours in the batch are stored with it', async () => {
  const { store, days } = await open()
  const events = [old(0), newEvent({ receivedAtMs: Date.now() }), old(1)]
  const receipts = await Promise.all(events.map((event) => store.append(event)))
  expect(receipts.map(({ outcome }) => outcome)).toEqual(Array(3).fill('accepted'))
  expect(await days()).toEqual(['0105', '0106'])
  expect(Buffer.from(await store.body(events[0]?.uid ?? ''))).toEqual(Buffer.from(events[0]?.body ?? ''))
})

test('retention drops the partitions of days that are wholly past, and leaves the others', async () => {
  const { store, days } = await open()
  for (const event of [old(0), old(1), old(1), old(2)]) await store.append(event)
  expect(await pruned(store, OLD_MS + 2 * DAY_MS, 100)).toBe(3)
  // The third day has begun before the time: it goes when it is over.
  expect(await days()).toEqual(['0107'])
  expect((await store.events({ untilMs: OLD_MS + 10 * DAY_MS }, { limit: 10 })).items).toHaveLength(1)
})

test('retention deletes the error details of an event with it', async () => {
  const { store, url } = await open()
  await store.append(old(0, { handlers: ['a'] }))
  const dead = { verdict: 'dead', outcome: 'rejected', error: 'no', detail: { name: 'Error', message: 'no' } } as const
  await store.settle([settlement(await claimOne(store), dead)])
  expect(await queryIn(url, 'SELECT FROM attempt_detail')).toHaveLength(1)
  expect(await pruned(store, OLD_MS + DAY_MS, 100)).toBe(1)
  expect(await queryIn(url, 'SELECT FROM attempt_detail')).toEqual([])
})

test('the partition of a day with an event that is still to be handled stays', async () => {
  const { store, days } = await open()
  for (const event of [old(0), old(0, { handlers: ['a'] })]) await store.append(event)
  expect(await pruned(store, OLD_MS + 5 * DAY_MS, 100)).toBe(1)
  expect(await days()).toEqual(['0105'])
  const work = await claimOne(store)
  expect(Buffer.from(work.body)).toHaveLength(work.body.length)
  await store.settle([settlement(work)])
  expect(await pruned(store, OLD_MS + 5 * DAY_MS, 100)).toBe(1)
  expect(await days()).toEqual([])
})

test('an id can come again as new once the partition of its day is dropped, and not before', async () => {
  const { store } = await open()
  const first = old(0)
  await store.append(first)
  const again = () => store.append({ ...first, receivedAtMs: Date.now() })
  expect(await again()).toEqual({ outcome: 'duplicate', uid: first.uid })
  await pruned(store, OLD_MS + 5 * DAY_MS, 100)
  expect(await again()).toEqual({ outcome: 'accepted', uid: first.uid })
})

test('a dropped partition is made again for an event that comes late', async () => {
  const { store, days } = await open()
  await store.append(old(0))
  await pruned(store, OLD_MS + 5 * DAY_MS, 100)
  expect(await days()).toEqual([])
  const late = old(0)
  expect(await store.append(late)).toMatchObject({ outcome: 'accepted' })
  expect((await store.body(late.uid)).length).toBe(late.body.length)
})

test('a partition that was detached when an event came for it at the last moment is attached again, with the event', async () => {
  const { store, url, days } = await open()
  const late = old(0)
  await store.append(late)
  await queryIn(url, 'ALTER TABLE event_body DETACH PARTITION event_body_20260105')
  expect(await days()).toEqual([])
  // What it does not forget keeps the day from being dropped.
  await store.append(old(0))
  expect((await store.body(late.uid)).length).toBe(late.body.length)
  expect(await days()).toEqual(['0105'])
})

test('retention finishes at its next run the drop of a partition that was cut off', async () => {
  const { store, url, days } = await open()
  await store.append(old(0))
  await store.append(old(1))
  await pruned(store, OLD_MS - DAY_MS, 100)
  await queryIn(url, 'ALTER TABLE event_body DETACH PARTITION event_body_20260105')
  await pruned(store, OLD_MS + 5 * DAY_MS, 100)
  expect(await days()).toEqual([])
  expect(
    await queryIn(
      url,
      "SELECT 1 FROM pg_class WHERE relname = 'event_body_20260105' AND relnamespace = current_schema()::regnamespace",
    ),
  ).toEqual([])
})

test('a long read of a partition delays no append, and retention drops the partition once the read ends', async () => {
  const { store, url, days } = await open()
  await store.append(old(0))
  const reading = await reader(url)
  const pruning = pruned(store, OLD_MS + 5 * DAY_MS, 100)
  for (let n = 0; n < 20; n++) await store.append(newEvent({ receivedAtMs: Date.now() }))
  await pruning
  await reading.end()
  await expect
    .poll(async () => (await pruned(store, OLD_MS + 5 * DAY_MS, 100)) === 0 && (await days()).length, {
      timeout: 10_000,
    })
    .toBe(0)
})

async function reader(url: string) {
  const { default: pg } = await import('pg')
  const target = new URL(url)
  const schema = target.searchParams.get('schema')
  target.searchParams.delete('schema')
  const client = new pg.Client({ connectionString: target.href })
  await client.connect()
  await client.query(
    `SET search_path TO ${schema}; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event_body`,
  )
  return client
}

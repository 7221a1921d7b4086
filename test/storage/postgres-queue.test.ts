import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

/** Stores on one schema, whose time the test passes. */
async function replicas(count: number) {
  const url = ownSchema()
  let nowMs = START_MS
  const stores: OpenStore[] = []
  for (let n = 0; n < count; n++) {
    const store = await openStore(url, { clock: () => nowMs })
    onTestFinished(() => store.close())
    stores.push(store)
  }
  const first = stores[0]
  if (first === undefined) throw new Error('there is no store')
  const pass = (ms: number): void => {
    nowMs += ms
  }
  /** Until what was done before lies behind every watermark. */
  const settleDown = async (): Promise<void> => {
    for (let n = 0; n < 4; n++) {
      pass(20_000)
      for (const store of stores) await store.claim(claimRequest())
    }
  }
  const appended = (given: Partial<NewEvent> = {}) => first.append(newEvent({ receivedAtMs: nowMs, ...given }))
  return { url, store: first, stores, pass, settleDown, appended, now: () => nowMs }
}

const uidsOf = async (store: OpenStore): Promise<readonly string[]> =>
  (await store.claim(claimRequest())).work.map(({ event }) => event.uid)

/** A session in the schema, in which a transaction is open. */
async function transactionIn(url: string): Promise<Client> {
  const target = new URL(url)
  const schema = target.searchParams.get('schema')
  target.searchParams.delete('schema')
  const client = new Client({ connectionString: target.href, options: `-c search_path=${schema}` })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end().catch(() => {}))
  await client.query('BEGIN')
  return client
}

test('a delivery that is committed long after it came due is handed out to the next claimer', async () => {
  const { url, stores, store, appended, settleDown } = await replicas(2)
  const { uid } = await appended()
  expect(await uidsOf(store)).toEqual([uid])
  // A commit that waits for a standby: the delivery is due, and not seen yet.
  const slow = await transactionIn(url)
  await slow.query("UPDATE delivery SET state = 'pending', lease = NULL, lease_until = NULL")
  for (let n = 0; n < 3; n++) {
    await appended()
    await store.claim(claimRequest())
    await settleDown()
  }
  await slow.query('COMMIT')
  expect(await uidsOf(stores[1] ?? store)).toContain(uid)
})

test('an event that was received long before it is stored is handed out first', async () => {
  const { stores, appended, settleDown, now } = await replicas(2)
  await appended()
  await settleDown()
  const fresh = await appended()
  const late = await appended({ receivedAtMs: now() - 60_000 })
  const found: string[] = []
  for (const store of stores) {
    const { work } = await store.claim(claimRequest({ sharedLimit: 1 }))
    found.push(...work.map(({ event }) => event.uid))
  }
  expect(found).toEqual([late.uid, fresh.uid])
})

test('after the clock went back, due, leased and retried deliveries are still handed out', async () => {
  const { url, store, appended, settleDown, pass, now } = await replicas(1)
  await appended()
  await settleDown()
  pass(-3_600_000)
  const { uid } = await appended()
  const [lost] = (await store.claim(claimRequest({ leaseMs: 1_000 }))).work
  expect(lost?.event.uid).toBe(uid)
  pass(1_000)
  const [retried] = (await store.claim(claimRequest())).work
  expect(retried).toMatchObject({ deliveryId: lost?.deliveryId, attempt: 2 })
  if (retried !== undefined)
    await store.settle([
      settlement(retried, { verdict: 'retry', outcome: 'failed', error: 'no', dueAtMs: now() + 5_000 }),
    ])
  expect(await uidsOf(store)).toEqual([])
  pass(5_000)
  expect(await uidsOf(store)).toEqual([uid])
  await settleDown()
  expect(await queryIn(url, "SELECT FROM late_entry WHERE queue = 'running'")).toHaveLength(1)
})

test.each([
  ['copied one after the other', "SELECT setval('floor_open', pg_sequence_last_value('floor_closed') - 60000)"],
  ['left out', 'ALTER SEQUENCE floor_open RESTART; ALTER SEQUENCE floor_closed RESTART'],
])(
  'a copy of the database whose sequences were %s hands out all new deliveries, and its watermarks go on',
  async (_, copied) => {
    const { url, stores, store, appended, settleDown, now } = await replicas(2)
    await appended()
    await settleDown()
    await queryIn(url, copied)
    const { uid } = await appended({ receivedAtMs: now() - 50_000 })
    expect(await uidsOf(stores[1] ?? store)).toEqual([uid])
    await settleDown()
    const [floors] = await queryIn(
      url,
      "SELECT now - pg_sequence_last_value('floor_closed') AS behind FROM clock_1($1) AS now",
      [now()],
    )
    expect(Number(floors?.behind)).toBeLessThan(60_000)
  },
)

test('a delivery that an operator releases by hand, from another schema, is handed out', async () => {
  const { url, store, appended, settleDown } = await replicas(1)
  const { uid } = await appended()
  await store.claim(claimRequest({ leaseMs: 3_600_000 }))
  await settleDown()
  const schema = new URL(url).searchParams.get('schema')
  const elsewhere = new URL(url)
  elsewhere.searchParams.set('schema', 'public')
  await queryIn(elsewhere.href, `UPDATE ${schema}.delivery SET state = 'pending', lease = NULL, lease_until = NULL`)
  expect(await uidsOf(store)).toEqual([uid])
})

test('the counts of deliveries are exact whatever was summed up before, and while a counting transaction is open', async () => {
  const { url, store, appended, settleDown } = await replicas(2)
  await appended()
  const slow = await transactionIn(url)
  await slow.query("INSERT INTO tally VALUES ('pending', 7)")
  for (let n = 0; n < 3; n++) {
    await appended()
    await settleDown()
    await queryIn(url, `SELECT fold_tally_1(${START_MS + n * 1_000_000})`)
  }
  const { deliveries } = await store.counts()
  expect(deliveries.pending + deliveries.running + deliveries.dead).toBe(4)
  await slow.query('COMMIT')
  for (let n = 10; n < 13; n++) await queryIn(url, `SELECT fold_tally_1(${START_MS + n * 1_000_000})`)
  const { deliveries: after } = await store.counts()
  expect(after).toEqual({ ...deliveries, pending: deliveries.pending + 7 })
  // One row for each state, and what was written since.
  expect((await queryIn(url, 'SELECT FROM tally')).length).toBeLessThan(10)
})

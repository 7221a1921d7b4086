import type { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Work } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { connectIn, ownSchema, queryIn } from '../support/postgres/schema.ts'

const ordered = (given: Partial<NewEvent> = {}): NewEvent => newEvent({ orderKeys: { a: 7 }, ...given })
const now = () => ({ receivedAtMs: Date.now() })
const claim = async (store: OpenStore): Promise<readonly Work[]> =>
  (await store.claim(claimRequest({ ordered: true, maxAttempts: 1_000 }))).work

async function open(url: string, clock?: () => number): Promise<OpenStore> {
  const store = await openStore(url, clock === undefined ? {} : { clock })
  onTestFinished(() => store.close())
  return store
}

async function connect(url: string): Promise<Client> {
  const client = await connectIn(url)
  onTestFinished(() => client.end())
  return client
}

test('deliveries that wait behind nothing, as after a fault, run within a minute', async () => {
  const url = ownSchema()
  let nowMs = START_MS
  const store = await open(url, () => nowMs)
  const first = ordered()
  for (const event of [first, ordered()]) await store.append(event)
  await claim(store)
  await queryIn(url, "UPDATE delivery SET state = 'blocked', lease = NULL, lease_until = NULL")
  nowMs += 60_000
  const work = await claim(store)
  expect(work.map(({ event }) => event.uid)).toEqual([first.uid])
  expect(await claim(store)).toEqual([])
})

test('a delivery whose body is gone dies and lets the next one go on', async () => {
  const url = ownSchema()
  const store = await open(url, () => START_MS)
  const [bad, next] = [ordered(), ordered()]
  for (const event of [bad, next]) await store.append(event)
  await queryIn(url, 'DELETE FROM event_body WHERE key = (SELECT key FROM event WHERE uid = $1)', [bad.uid])
  const work = [...(await claim(store)), ...(await claim(store))]
  expect(work.map(({ event }) => event.uid)).toEqual([next.uid])
})

describe('beside a replica of the previous release,', () => {
  const CLAIM_3 = `SELECT delivery FROM claim_3(NULL, '[{"name":"a","limit":9}]', 9, 9, 'old:1', 60000, 5, 'lost', 'none', 'corrupt', NULL, false)
    WHERE delivery IS NOT NULL`

  test('what that one leases and settles keeps the order', async () => {
    const url = ownSchema()
    const store = await open(url)
    const events = [ordered(now()), ordered(now()), ordered(now())]
    for (const event of events) await store.append(event)
    const [first] = await claim(store)
    expect(await queryIn(url, CLAIM_3)).toEqual([])
    if (first === undefined) throw new Error('nothing was claimed')
    await store.settle([settlement(first)])
    const leased = await queryIn<{ delivery: number }>(url, CLAIM_3)
    expect(leased).toHaveLength(1)
    expect(await claim(store)).toEqual([])
    // As the older release settles.
    await queryIn(
      url,
      "UPDATE delivery SET state = 'dead', due_at = clock_1(NULL), lease = NULL, lease_until = NULL, started_at = NULL WHERE key = $1",
      [leased[0]?.delivery],
    )
    expect((await claim(store)).map(({ event }) => event.uid)).toEqual([events[2]?.uid])
  })

  test('what that one replays waits for its turn, and what waits is not deleted', async () => {
    const url = ownSchema()
    const store = await open(url)
    const [first, second] = [ordered(now()), ordered(now())]
    await store.append(first)
    await store.settle((await claim(store)).map((work) => settlement(work, { verdict: 'dead', outcome: 'failed' })))
    await store.append(second)
    expect(await claim(store)).toHaveLength(1)
    const older = await connect(url)
    await older.query("SET application_name = 'holdfast work'")
    await older.query(
      "UPDATE delivery SET state = 'pending', due_at = clock_1(NULL), attempts = 0 WHERE state = 'dead'",
    )
    await older.query("INSERT INTO tally VALUES ('dead', -1), ('pending', 1)")
    expect(await older.query(CLAIM_3).then(({ rows }) => rows)).toEqual([])
    await expect(older.query("DELETE FROM delivery WHERE state NOT IN ('pending', 'running')")).rejects.toThrow(
      'its turn',
    )
    // The first claim may come before the server has undone that deletion.
    const detail = await eventually(
      async () => {
        expect(await claim(store)).toEqual([])
        return store.event(first.uid)
      },
      (event) => event?.deliveries[0]?.waitsForTurn === true,
      2_000,
    )
    expect(detail?.deliveries).toMatchObject([{ state: 'pending', waitsForTurn: true }])
  })
})

describe('while another transaction is not committed yet,', () => {
  const stateOf = async (url: string, uid: string): Promise<string | undefined> => {
    const [row] = await queryIn<{ state: string }>(
      url,
      'SELECT state FROM delivery WHERE key / 1024 = (SELECT key FROM event WHERE uid = $1)',
      [uid],
    )
    return row?.state
  }
  const END = "UPDATE delivery SET state = 'succeeded', lease = NULL, lease_until = NULL WHERE state = 'running'"
  const PLACE = 'SELECT place_1(NULL) AS is_left'

  test('which ends the head, a delivery that has come meanwhile is not blocked behind it, and runs afterwards', async () => {
    const url = ownSchema()
    const store = await open(url)
    await store.append(ordered(now()))
    expect(await claim(store)).toHaveLength(1)
    const other = await connect(url)
    await other.query(`BEGIN; ${END}`)
    const later = ordered(now())
    await store.append(later)
    const { work, nextDueAtMs = Number.POSITIVE_INFINITY } = await store.claim(claimRequest({ ordered: true }))
    expect(work).toEqual([])
    expect(nextDueAtMs).toBeLessThan(Date.now() + 1_000)
    expect(await stateOf(url, later.uid)).toBe('unplaced')
    await other.query('COMMIT')
    expect((await claim(store)).map(({ event }) => event.uid)).toEqual([later.uid])
  })

  test('which makes a delivery the head, no other one becomes a head', async () => {
    const url = ownSchema()
    const store = await open(url)
    const [first, second] = [ordered(now()), ordered(now())]
    await store.append(first)
    const other = await connect(url)
    await other.query(`BEGIN; ${PLACE}`)
    await store.append(second)
    expect(await claim(store)).toEqual([])
    await other.query('COMMIT')
    expect((await claim(store)).map(({ event }) => event.uid)).toEqual([first.uid])
    expect(await stateOf(url, second.uid)).toBe('blocked')
  })

  test('which blocks a delivery behind the head, the end of the head waits for it', async () => {
    const url = ownSchema()
    const store = await open(url)
    await store.append(ordered(now()))
    const [head] = await claim(store)
    const later = ordered(now())
    await store.append(later)
    const other = await connect(url)
    await other.query(`BEGIN; ${PLACE}`)
    if (head === undefined) throw new Error('nothing was claimed')
    const settled = store.settle([settlement(head)])
    await eventually(
      () =>
        queryIn(
          url,
          "SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%given AS MATERIALIZED%'",
        ),
      ({ length }) => length > 0,
    )
    await other.query('COMMIT')
    expect(await settled).toEqual([true])
    expect((await claim(store)).map(({ event }) => event.uid)).toEqual([later.uid])
  })
})

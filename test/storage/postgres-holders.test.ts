import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Work } from '../../src/domain/delivery.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { claimOne, claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { newTask, taskClaim } from '../contract/task-samples.ts'
import { eventually } from '../support/eventually.ts'
import { openReplica, openReplicaBehindRelay } from '../support/postgres/replica.ts'
import { queryIn } from '../support/postgres/schema.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

/** What a dead replica has leased is back by then; without signs of life it would be after the lease. */
const BACK_MS = 10_000
/** Longer than a replica may be silent before it is taken for dead. */
const LONG_MS = 8_000
const LEASE_MS = 120_000

let server: PostgresServer
let schemas = 0
beforeAll(async () => {
  server = await startPostgres({ settings: { wal_writer_delay: '10s' } })
})
afterAll(() => server.remove())

const now = () => ({ receivedAtMs: Date.now() })
const request = () => claimRequest({ leaseMs: LEASE_MS })
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

function ownUrl(): string {
  const url = new URL(server.url)
  url.searchParams.set('schema', `holders_${++schemas}`)
  return url.href
}

const openBehindRelay = (url: string) => openReplicaBehindRelay(server, url)

/** What a replica is given, which looks as often as a dispatcher does, until it is given something. */
async function claimedInTime(store: OpenStore, withinMs: number): Promise<readonly Work[]> {
  const work = await eventually(
    async () => (await store.claim(request()).catch(() => ({ work: [] }))).work,
    ({ length }) => length > 0,
    withinMs,
  )
  return work
}

async function historyOf(store: OpenStore, uid: string): Promise<readonly unknown[]> {
  const [delivery] = (await store.event(uid))?.deliveries ?? []
  return delivery?.history.map(({ number, outcome }) => [number, outcome]) ?? []
}

describe('a replica that has gone silent', () => {
  test('loses its deliveries to another within 10 s, where they may run beside others, and its late settlement changes nothing', async () => {
    const url = ownUrl()
    const { store: silent, relay } = await openBehindRelay(url)
    const other = await openReplica(url)
    const event = newEvent(now())
    await silent.append(event)
    const lost = await claimOne(silent, { leaseMs: LEASE_MS })
    expect((await other.claim(request())).work).toEqual([])
    // Of an older release, which gives no signs of life.
    const old = newEvent({ ...now(), handlers: ['b'] })
    await other.append(old)
    await queryIn(
      url,
      `UPDATE delivery SET state = 'running', attempts = 1, lease = gen_random_uuid()::text, lease_until = clock_1(NULL) + 60000,
         started_at = clock_1(NULL) WHERE handler = 'b'`,
    )

    relay.hang()
    const [again] = await claimedInTime(other, BACK_MS)
    expect(again).toMatchObject({ deliveryId: lost.deliveryId, attempt: 2, isolated: false })
    expect((await other.deliveries({ handler: 'b' }, { limit: 1 })).items).toMatchObject([{ state: 'running' }])
    await relay.resume()
    expect(await silent.settle([settlement(lost, { verdict: 'dead', outcome: 'rejected' })])).toEqual([false])
    if (again !== undefined) expect(await other.settle([settlement(again)])).toEqual([true])
    expect(await historyOf(other, event.uid)).toEqual([
      [1, 'lease_lost'],
      [2, 'succeeded'],
    ])
    // It lives again, and so do the leases that it takes from now on.
    await eventually(
      async () => silent.faults(),
      (faults) => faults.length === 0,
    )
    await silent.append(newEvent(now()))
    const [held] = await claimedInTime(silent, BACK_MS)
    await pause(LONG_MS)
    expect((await other.claim(request())).work).toEqual([])
    if (held !== undefined) expect(await silent.settle([settlement(held)])).toEqual([true])
  })

  test('loses the tasks that it has leased, and gets no lease from an append until it is heard again', async () => {
    const url = ownUrl()
    const { store: silent, relay } = await openBehindRelay(url)
    const other = await openReplica(url)
    const task = newTask({ maxWaitMs: 0 })
    await silent.track(task)
    const claim = () => taskClaim({ leaseMs: LEASE_MS })
    expect(await silent.claimTasks(claim())).toMatchObject([{ uid: task.uid, interrupted: false }])
    relay.hang()
    const offering = () => newEvent({ ...now(), lease: { handlers: ['a'], leaseMs: LEASE_MS } })
    expect(await other.append(offering())).toMatchObject({ leased: [{ handler: 'a' }] })
    const leased = await eventually(
      async () => {
        await other.claim(claimRequest({ handlers: [] }))
        return other.claimTasks(claim())
      },
      ({ length }) => length > 0,
      BACK_MS,
    )
    expect(leased).toMatchObject([{ uid: task.uid, interrupted: true }])
    await relay.resume()
    await eventually(
      async () => silent.append(offering()).catch(() => undefined),
      (receipt) => receipt?.leased !== undefined,
    )
  })
})

describe('a delivery that is leased to a replica which does not run it', () => {
  test('is released at once when the replica closes, and its attempt does not count', async () => {
    const url = ownUrl()
    const [going, other] = [await openReplica(url), await openReplica(url)]
    const event = newEvent(now())
    await going.append(event)
    await claimOne(going, { leaseMs: LEASE_MS })
    await going.close()
    expect(await claimOne(other)).toMatchObject({ attempt: 1, isolated: false, event: { uid: event.uid } })
    expect(await historyOf(other, event.uid)).toEqual([[1, 'released']])
    expect(await queryIn(url, 'SELECT FROM lease_holder')).toHaveLength(1)
    expect((await other.counts()).deliveries).toMatchObject({ pending: 0, running: 1 })
  })

  test('comes back within 10 s where the answer to a claim was lost, and the replica keeps its other leases', async () => {
    const url = ownUrl()
    const { store, relay } = await openBehindRelay(url)
    const [first, second] = [newEvent(now()), newEvent(now())]
    await store.append(first)
    const held = await claimOne(store, { leaseMs: LEASE_MS })
    await store.append(second)
    // The claim has to wait where it counts what it has leased, and is cut off while it waits.
    const blocker = await clientIn(url)
    await blocker.query('BEGIN; LOCK TABLE tally IN SHARE MODE')
    const claiming = store.claim(request()).catch(() => 'refused')
    await eventually(
      () => server.query("SELECT FROM pg_stat_activity WHERE query LIKE '%claim_4%' AND wait_event_type = 'Lock'"),
      ({ length }) => length > 0,
    )
    await relay.cut()
    expect(await claiming).toBe('refused')
    await blocker.query('COMMIT')
    await eventually(
      () => queryIn(url, "SELECT FROM delivery WHERE state = 'running'"),
      ({ length }) => length === 2,
    )
    await relay.resume()
    const again = await claimedInTime(store, BACK_MS)
    expect(again).toMatchObject([{ attempt: 1, event: { uid: second.uid } }])
    expect(await store.settle([settlement(held)])).toEqual([true])
  })

  test('runs again within 10 s where the database crashed before a settlement was on disk', {
    timeout: 120_000,
  }, async () => {
    const url = ownUrl()
    const store = await openReplica(url)
    for (let tries = 1; ; tries++) {
      await store.append(newEvent(now()))
      const work = await claimOne(store, { leaseMs: LEASE_MS })
      // This one waits for the disk, and takes the claim along.
      await store.append(newEvent({ ...now(), handlers: [] }))
      expect(await store.settle([settlement(work)])).toEqual([true])
      await server.kill()
      await server.start()
      const [row] = await queryIn<{ state: string }>(url, 'SELECT state FROM delivery WHERE key = $1', [
        work.deliveryId,
      ])
      // A probe may have come between and taken it along.
      if (row?.state === 'succeeded' && tries < 12) {
        await eventually(
          async () => store.faults(),
          ({ length }) => length === 0,
        )
        continue
      }
      // Pending: the store has noticed the crash and given back what it holds already.
      expect(['running', 'pending']).toContain(row?.state)
      const again = await claimedInTime(store, BACK_MS)
      expect(again).toMatchObject([{ deliveryId: work.deliveryId, attempt: 1 }])
      return
    }
  })
})

async function clientIn(url: string): Promise<Client> {
  const target = new URL(url)
  const schema = target.searchParams.get('schema')
  target.searchParams.delete('schema')
  const client = new Client({ connectionString: target.href })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end().catch(() => {}))
  await client.query(`SET search_path TO ${schema}`)
  return client
}

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, codeOf, newEvent, settlement } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { queryIn } from '../support/postgres/schema.ts'
import { type ReplicatedPostgres, startWithStandby } from '../support/postgres/standby.ts'

/** Less than any commit waits for a standby. */
const AT_ONCE_MS = 2_000

let pair: ReplicatedPostgres
beforeAll(async () => {
  pair = await startWithStandby({ wal_writer_delay: '10s' })
})
afterAll(() => pair.remove())

async function open(): Promise<OpenStore> {
  const store = await openStore(pair.primary.url)
  onTestFinished(() => store.close())
  return store
}

const now = () => ({ receivedAtMs: Date.now() })

async function isQuick(work: () => Promise<unknown>): Promise<boolean> {
  const startedAtMs = performance.now()
  await work()
  return performance.now() - startedAtMs < AT_ONCE_MS
}

test('while a synchronous standby is away, replicas claim and settle deliveries at once, and take no event', async () => {
  const store = await open()
  for (let n = 0; n < 4; n++) await store.append(newEvent(now()))
  const runOne = async (): Promise<void> => {
    const work = await claimOne(store)
    expect(await store.settle([settlement(work, { startedAtMs: Date.now() })])).toEqual([true])
  }
  await runOne()
  await pair.standby.kill()
  expect(await isQuick(runOne)).toBe(true)

  // A lease that no caller may get: the commit that took it may not be safe.
  const offering = newEvent({ ...now(), lease: { handlers: ['a'], leaseMs: 60_000 } })
  const appending = codeOf(store.append(offering))
  expect(await isQuick(runOne)).toBe(true)
  expect(await appending).toBe('unavailable')
  await eventually(
    async () => store.faults(),
    ({ length }) => length > 0,
  )
  expect(await codeOf(store.append(newEvent(now())))).toBe('unavailable')
  await eventually(
    () => isQuick(runOne).catch(() => false),
    (quick) => quick,
    AT_ONCE_MS,
  )
  expect(store.faults()).not.toEqual([])

  await pair.standby.start()
  await eventually(
    async () => store.faults(),
    (faults) => faults.length === 0,
  )
  // The event of that append is stored, though its sender got an error; its delivery is free again, and the first claim gets it.
  const work = await eventually(
    () => claimOne(store).catch(() => undefined),
    (claimed) => claimed?.event.uid === offering.uid,
  )
  expect(work).toMatchObject({ attempt: 1 })
  expect(await store.append(offering)).toEqual({ outcome: 'duplicate', uid: offering.uid })
})

/** Where the server's log stands, and how far it is safe. */
async function unwritten(): Promise<boolean> {
  const [row] = await queryIn<{ behind: boolean }>(
    pair.primary.url,
    'SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() AS behind',
  )
  return row?.behind === true
}

test('claims and settlements do not wait for the disk; appends, with a lease or without, do, and make earlier commits durable', async () => {
  const store = await open()
  const waited = { append: [] as boolean[], claim: [] as boolean[], settle: [] as boolean[] }
  for (let n = 0; n < 5; n++) {
    const lease = { handlers: ['b'], leaseMs: 60_000 }
    const { leased } = await store.append(newEvent({ ...now(), handlers: ['a', 'b'], lease }))
    expect(leased).toHaveLength(1)
    waited.append.push(!(await unwritten()))
    const work = await claimOne(store)
    waited.claim.push(!(await unwritten()))
    await store.append(newEvent({ ...now(), handlers: [] }))
    waited.append.push(!(await unwritten()))
    await store.settle([settlement(work)])
    waited.settle.push(!(await unwritten()))
  }
  expect(new Set(waited.append)).toEqual(new Set([true]))
  // Something else that is written just then takes them along, now and then.
  expect(waited.claim.filter((each) => each).length).toBeLessThan(3)
  expect(waited.settle.filter((each) => each).length).toBeLessThan(3)
})

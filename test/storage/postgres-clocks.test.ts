import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { Retention } from '../../src/app/retention.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, newEvent, pruned, settlement } from '../contract/store-samples.ts'
import { newTask, taskBy } from '../contract/task-samples.ts'
import { dayOf } from '../support/postgres/old-day.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

/** A replica whose own clock is ahead by so much; the database's is right. */
async function replica(url: string, aheadMs: number): Promise<OpenStore> {
  const store = await openStore(url, { localClock: () => Date.now() + aheadMs })
  onTestFinished(() => store.close())
  return store
}

const msOf = (time: number | undefined): number => time ?? Number.NaN

test.each([40 * DAY_MS, -40 * DAY_MS])(
  'a worker whose clock is off by %d ms deletes only old events',
  async (aheadMs) => {
    const url = ownSchema()
    const right = await replica(url, 0)
    await right.append(newEvent({ receivedAtMs: Date.now() }))
    await right.settle([settlement(await claimOne(right), { verdict: 'dead', outcome: 'rejected' })])
    const wrong = await replica(url, aheadMs)
    await wrong.append(newEvent({ receivedAtMs: Date.now() + aheadMs, handlers: [] }))
    const upkeep = new Retention({
      store: wrong,
      retentionDays: 30,
      deadRetentionDays: 30,
      waits: () => ({ retryMs: MINUTE_MS, retryAfterMs: DAY_MS, pollMs: DAY_MS, leaseMs: DAY_MS }),
      onRepaired: () => {},
      log: pino({ level: 'silent' }),
    })
    await upkeep.pass()
    expect((await right.events({}, { limit: 10 })).items).toHaveLength(2)
    expect(upkeep.state().isHeld).toBe(false)
  },
)

test.each([40 * DAY_MS, -40 * DAY_MS])(
  'the database’s clock gives an event’s time of receipt and a task’s begin, though the replica’s clock is off by %d ms',
  async (aheadMs) => {
    const url = ownSchema()
    const store = await replica(url, aheadMs)
    const event = newEvent({ receivedAtMs: Date.now() + aheadMs })
    const receipt = await store.append(event)
    const { receivedAtMs } = (await store.event(event.uid)) ?? {}
    expect(Math.abs(msOf(receivedAtMs) - Date.now())).toBeLessThan(MINUTE_MS)
    expect(receipt.receivedAtMs).toBe(msOf(receivedAtMs))
    const { event: claimed } = await claimOne(store)
    expect(claimed.receivedAtMs).toBe(receipt.receivedAtMs)
    expect(await queryIn(url, 'SELECT FROM event_body WHERE day = $1', [dayOf(msOf(receivedAtMs))])).toHaveLength(1)
    const task = newTask()
    await store.track(task)
    const { createdAtMs, expiresAtMs } = await taskBy(store, task.uid)
    expect(Math.abs(msOf(createdAtMs) - Date.now())).toBeLessThan(MINUTE_MS)
    expect(msOf(expiresAtMs) - msOf(createdAtMs)).toBe(task.deadlineMs)
  },
)

test('a replica whose clock is right to a second uses its own times of receipt', async () => {
  const store = await replica(ownSchema(), 300)
  const event = newEvent({ receivedAtMs: Date.now() })
  expect(await store.append(event)).not.toHaveProperty('receivedAtMs')
  expect(msOf((await store.event(event.uid))?.receivedAtMs)).toBe(event.receivedAtMs)
})

test('an event from a time ahead moves to today’s partition when it is brought back, and is deleted with its day', async () => {
  const url = ownSchema()
  const store = await replica(url, 0)
  const aheadMs = Date.now() + 40 * DAY_MS
  const event = newEvent({ receivedAtMs: aheadMs, handlers: [] })
  await store.append(event)
  const waits = { retryMs: 0, retryAfterMs: 0, pollMs: 0, leaseMs: 0, isTrusted: true }
  expect(await store.repairTimes(waits)).toMatchObject({ events: 1 })
  const days = await queryIn<{ day: string }>(url, 'SELECT day::text FROM event_body')
  const { receivedAtMs } = (await store.event(event.uid)) ?? {}
  expect(days).toEqual([{ day: dayOf(msOf(receivedAtMs)) }])
  expect(Buffer.from(await store.body(event.uid))).toEqual(event.body)
  expect(await pruned(store, Date.now() + MINUTE_MS)).toBe(1)
})

test('a replica that was last seen while the database’s clock was ahead does not count as alive until then', async () => {
  const url = ownSchema()
  const store = await replica(url, 0)
  const aheadMs = Date.now() + 40 * DAY_MS
  await queryIn(url, 'INSERT INTO lease_holder VALUES (gen_random_uuid(), $1, $1)', [aheadMs])
  await queryIn(
    url,
    "INSERT INTO replica VALUES (gen_random_uuid(), 0, $1, NULL, '[]'), (gen_random_uuid(), 0, 1, $1, '[]')",
    [aheadMs],
  )
  await store.repairTimes({ retryMs: 0, retryAfterMs: 0, pollMs: 0, leaseMs: 0, isTrusted: false })
  const times = 'SELECT seen_at, gone_at FROM replica UNION ALL SELECT seen_at, NULL FROM lease_holder'
  const ahead = `SELECT FROM (${times}) AS t WHERE greatest(seen_at, gone_at) > clock_1(NULL)`
  expect(await queryIn(url, ahead)).toEqual([])
  expect(await queryIn(url, times)).toHaveLength(3)
})

test('an operator’s confirmation of the clock, given to any replica, holds for all: the next one that looks prunes old events', async () => {
  const url = ownSchema()
  const at = { wallMs: Date.now(), monotonicMs: 0 }
  const open = async () => {
    const store = await openStore(url, { clock: () => at.wallMs })
    onTestFinished(() => store.close())
    return new Retention({
      store,
      retentionDays: 30,
      deadRetentionDays: 30,
      waits: () => ({ retryMs: MINUTE_MS, retryAfterMs: DAY_MS, pollMs: DAY_MS, leaseMs: DAY_MS }),
      onRepaired: () => {},
      log: pino({ level: 'silent' }),
      monotonicMs: () => at.monotonicMs,
    })
  }
  const reader = await replica(url, 0)
  await reader.append(newEvent({ receivedAtMs: at.wallMs, handlers: [] }))
  const [worker, other, ingest] = [await open(), await open(), await open()]
  const eventsLeft = async () => (await reader.events({}, { limit: 10 })).items.length
  for (const each of [worker, other]) await each.pass()
  at.wallMs += 40 * DAY_MS
  for (const each of [worker, other]) await each.pass()
  expect([worker.state().isHeld, other.state().isHeld, await eventsLeft()]).toEqual([true, true, 1])

  expect(await ingest.report()).toMatchObject({ isHeld: true, old: { days: [{ events: 1 }] } })
  await ingest.resume(at.wallMs)
  expect(ingest.warnings()).toEqual([])
  expect(await eventsLeft()).toBe(1)
  at.wallMs += 5 * MINUTE_MS
  at.monotonicMs += 60 * MINUTE_MS
  await other.pass()
  expect([other.state().isHeld, await eventsLeft()]).toEqual([false, 0])
  await worker.pass()
  expect(worker.state().isHeld).toBe(false)
  await expect(worker.resume(at.wallMs)).rejects.toMatchObject({ code: 'conflict' })
})

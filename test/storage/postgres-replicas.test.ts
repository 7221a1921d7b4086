import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { allPages, claimOne, claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { askedEvent, endEvent, leaseOf, newTask, taskBy, taskClaim, trackLeased } from '../contract/task-samples.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

/** Two replicas' stores, on one database. */
async function two(): Promise<readonly [OpenStore, OpenStore, string]> {
  const url = ownSchema()
  return [await openReplica(url), await openReplica(url), url]
}

const now = () => ({ receivedAtMs: Date.now() })
const times = <Item>(count: number, make: (nth: number) => Item): Item[] =>
  Array.from({ length: count }, (_, n) => make(n))

describe('two replicas', () => {
  test('that take the same events in opposite orders at once accept each once', async () => {
    const [one, other] = await two()
    const events = times(200, () => newEvent(now()))
    const again = events.toReversed().map((event) => ({ ...event, uid: newUid() }))
    const [first, second] = await Promise.all([
      Promise.all(events.map((event) => one.append(event))),
      Promise.all(again.map((event) => other.append(event))),
    ])
    const opposite = second.toReversed()
    for (const [at, receipt] of first.entries()) {
      expect([receipt.outcome, opposite[at]?.outcome].map(String).toSorted()).toEqual(['accepted', 'duplicate'])
      expect(receipt.uid).toBe(opposite[at]?.uid)
    }
    expect(await allPages((page) => one.events({}, page), 200)).toHaveLength(200)
  })

  test('that take different bodies of one id at once keep one as the event and one as a conflict', async () => {
    const [one, other] = await two()
    const events = times(50, () => newEvent(now()))
    const receipts = await Promise.all(
      events.map((event) =>
        Promise.all([one.append(event), other.append({ ...event, uid: newUid(), body: Buffer.from('other') })]),
      ),
    )
    for (const pair of receipts) expect(pair.map(({ outcome }) => outcome).toSorted()).toEqual(['accepted', 'conflict'])
  })

  test('that take the same conflicts in opposite orders at once keep each once, though they meet in the middle', async () => {
    const [one, other] = await two()
    const events = times(100, () => newEvent(now()))
    await Promise.all(events.map((event) => one.append(event)))
    const conflicts = () => events.map((event) => ({ ...event, uid: newUid(), body: Buffer.from('other') }))
    const [first, second] = await Promise.all([
      Promise.all(conflicts().map((event) => one.append(event))),
      Promise.all(
        conflicts()
          .toReversed()
          .map((event) => other.append(event)),
      ),
    ])
    expect(first).toEqual(second.toReversed())
    expect(new Set(first.map(({ uid }) => uid)).size).toBe(100)
  })

  test('that claim at once never lease the same delivery', async () => {
    const [one, other] = await two()
    await Promise.all(times(120, () => one.append(newEvent(now()))))
    const claims = await Promise.all(
      times(12, (nth) => (nth % 2 === 0 ? one : other).claim(claimRequest({ sharedLimit: 10 }))),
    )
    const ids = claims.flatMap(({ work }) => work.map(({ deliveryId }) => deliveryId))
    expect(ids).toHaveLength(new Set(ids).size)
    const { work } = await one.claim(claimRequest({ sharedLimit: 200, handlers: [{ name: 'a', limit: 200 }] }))
    expect(new Set([...ids, ...work.map(({ deliveryId }) => deliveryId)]).size).toBe(120)
  })

  test('change nothing by a late settlement under a lost lease', async () => {
    const [one, other] = await two()
    const event = newEvent(now())
    await one.append(event)
    const lost = await claimOne(one, { leaseMs: 1 })
    await expect.poll(async () => (await other.claim(claimRequest({ handlers: [] }))).work).toEqual([])
    const again = await claimOne(other)
    const before = await one.event(event.uid)
    expect(await one.settle([settlement(lost), settlement(lost, { verdict: 'dead', outcome: 'rejected' })])).toEqual([
      false,
      false,
    ])
    expect(await one.event(event.uid)).toEqual(before)
    expect(await other.settle([settlement(again)])).toEqual([true])
    expect((await one.event(event.uid))?.deliveries).toMatchObject([
      { state: 'succeeded', attempts: 2, history: [{ outcome: 'lease_lost' }, { outcome: 'succeeded' }] },
    ])
  })

  test('see a task and its end, whichever was stored first and by which of them', async () => {
    const [one, other] = await two()
    const tasks = times(150, () => newTask())
    await Promise.all(tasks.flatMap((task) => [one.track(task), other.append(endEvent(task, now()))]))
    const found = await Promise.all(tasks.map(({ uid }) => taskBy(other, uid)))
    expect(found.filter(({ status }) => status !== 'completed')).toEqual([])
  })

  test('keep one of a webhook and a poll’s answer that end a task at once', async () => {
    const [one, other] = await two()
    const leased = await Promise.all(times(60, () => trackLeased(one, { maxWaitMs: 0 })))
    const receipts = await Promise.all(
      leased.map((task) => Promise.all([one.append(endEvent(task, now())), other.append(askedEvent(task, now()))])),
    )
    for (const [webhook, answer] of receipts)
      expect([
        ['accepted', 'fenced'],
        ['superseded', 'accepted'],
      ]).toContainEqual([webhook.outcome, answer.outcome])
    expect((await one.counts()).tasks).toMatchObject({ pending: 0, completed: 60 })
  })

  test('that track one task at once, by id or by key, make one task of it', async () => {
    const [one, other] = await two()
    const idempotency = { key: 'k', fingerprint: 'f' }
    const same = newTask()
    const answers = await Promise.all([
      ...times(4, (nth) => (nth % 2 === 0 ? one : other).track({ ...same, uid: newUid() })),
      ...times(4, (nth) => (nth % 2 === 0 ? one : other).track(newTask({ idempotency }))),
    ])
    expect(new Set(answers.slice(0, 4).map(({ task }) => task.uid)).size).toBe(1)
    expect(new Set(answers.slice(4).map(({ task }) => task.uid)).size).toBe(1)
    expect(answers.filter(({ created }) => created)).toHaveLength(2)
  })

  test('that claim tasks at once never lease the same task', async () => {
    const [one, other] = await two()
    await Promise.all(times(40, () => one.track(newTask({ maxWaitMs: 0 }))))
    const claims = await Promise.all(
      times(8, (nth) => (nth % 2 === 0 ? one : other).claimTasks(taskClaim({ staleLimit: 10, leaseMs: 60_000 }))),
    )
    const uids = claims.flat().map(({ uid }) => uid)
    expect(uids).toHaveLength(new Set(uids).size)
  })

  test('tell each other’s waiting clients of the end of a task', async () => {
    const [one, other] = await two()
    const task = newTask()
    await one.track(task)
    const told: unknown[] = []
    const stop = one.watchEnds(({ uid, source, id }) => told.push({ uid, source, id }))
    await other.append(endEvent(task, now()))
    await expect.poll(() => told).toEqual([{ uid: task.uid, source: task.source, id: task.id }])
    stop()
  })
})

test('a process knows whether other processes are there, including those without handlers, and when they have gone', async () => {
  const [{ replicas: one }, { replicas: other }] = await two()
  const [uid, otherUid] = [newUid(), newUid()]
  await one?.announce({ uid, handlers: [] })
  const hasOthers = async () => {
    await one?.handlers()
    return one?.hasOthers()
  }
  expect(await hasOthers()).toBe(false)
  await other?.announce({ uid: otherUid, handlers: undefined })
  expect(await hasOthers()).toBe(true)
  await other?.leave(otherUid)
  expect(await hasOthers()).toBe(false)
})

test('a process knows the workers that run and their handlers, in order of their start, without those that have left or are silent', async () => {
  const [{ replicas: one }, { replicas: other }, url] = await two()
  const [first, second, ingest] = [newUid(), newUid(), newUid()]
  const handlers = [{ name: 'a', types: ['*'], rate: { limit: 1, perMs: 100 } }]
  const workers = async () => {
    await one?.handlers()
    return one?.workers()
  }
  await one?.announce({ uid: first, handlers })
  const alone = await workers()
  expect(alone).toEqual([{ uid: first, handlers }])
  expect(await workers()).toBe(alone)
  await other?.announce({ uid: ingest, handlers: undefined })
  await queryIn(url, 'UPDATE replica SET started_at = started_at - 1000 WHERE uid = $1', [first])
  await other?.announce({ uid: second, handlers: [] })
  expect(await workers()).toEqual([
    { uid: first, handlers },
    { uid: second, handlers: [] },
  ])
  await queryIn(url, 'UPDATE replica SET seen_at = seen_at - 26000 WHERE uid = $1', [first])
  expect(await workers()).toEqual([{ uid: second, handlers: [] }])
  await one?.announce({ uid: first, handlers })
  await other?.leave(second)
  expect(await workers()).toEqual([{ uid: first, handlers }])
})

test('a process knows how many of each role run, without those that have left or are silent', async () => {
  const [{ replicas: one }, { replicas: other }, url] = await two()
  const [all, worker, silent, ingest] = [newUid(), newUid(), newUid(), newUid()]
  await one?.announce({ uid: all, handlers: [], role: 'all' })
  await other?.announce({ uid: worker, handlers: [], role: 'worker' })
  await other?.announce({ uid: silent, handlers: [], role: 'worker' })
  await other?.announce({ uid: ingest, handlers: undefined })
  await other?.announce({ uid: newUid(), handlers: [] })
  await queryIn(url, 'UPDATE replica SET seen_at = seen_at - 61000 WHERE uid = $1', [silent])
  expect(await one?.roles()).toEqual(
    new Map([
      ['all', 2],
      ['worker', 1],
      ['ingest', 1],
    ]),
  )
  expect((await one?.running())?.find(({ uid }) => uid === ingest)).toMatchObject({ role: 'ingest', handlers: 0 })
  expect((await one?.running())?.map(({ uid }) => uid)).not.toContain(silent)
  await one?.leave(all)
  expect((await one?.roles())?.get('all')).toBe(1)
})

describe('a replica whose clock is off', () => {
  test.each([3_600_000, -3_600_000])(
    'by %i ms has its events due at once, keeps its leases, and waits before its retries',
    async (offMs) => {
      const url = ownSchema()
      const right = await openReplica(url)
      const realNow = Date.now
      vi.spyOn(Date, 'now').mockImplementation(() => realNow() + offMs)
      onTestFinished(() => void vi.restoreAllMocks())
      const wrong = await openReplica(url)

      await wrong.append(newEvent({ receivedAtMs: Date.now(), handlers: ['a', 'b'] }))
      const a = { handlers: [{ name: 'a', limit: 1 }] }
      const work = await claimOne(wrong, a)
      vi.restoreAllMocks()
      const { work: others, nextDueAtMs } = await right.claim(claimRequest())
      // Only the other handler's is free: the lease holds for half a minute more by everybody's clock.
      expect(others).toEqual([])
      expect((nextDueAtMs ?? 0) - realNow()).toBeLessThan(30_001)
      expect((await right.claim(claimRequest({ handlers: [{ name: 'b', limit: 1 }] }))).work).toHaveLength(1)

      vi.spyOn(Date, 'now').mockImplementation(() => realNow() + offMs)
      const retry = settlement(work, { verdict: 'retry', outcome: 'failed', dueAtMs: Date.now() + 40_000 })
      expect(await wrong.settle([retry])).toEqual([true])
      const [delivery] = (await wrong.deliveries({ handler: 'a' }, { limit: 1 })).items
      const inMs = Number(delivery?.dueAtMs) - realNow()
      expect(inMs).toBeGreaterThan(35_000)
      expect(inMs).toBeLessThanOrEqual(40_001)

      const task = newTask({ maxWaitMs: 60_000 })
      await wrong.track(task)
      const leased = await leaseOf(wrong, task.uid)
      expect(Math.abs(leased.staleAtMs - Date.now() - 60_000)).toBeLessThan(5_000)
      expect(await right.claimTasks(taskClaim())).toEqual([])
    },
  )
})

test('deliveries whose body was changed by another program are dead, and never run', async () => {
  const [store, , url] = await two()
  const [good, bad] = [newEvent(now()), newEvent(now())]
  for (const event of [bad, good]) await store.append(event)
  await queryIn(
    url,
    'UPDATE event_body SET bytes = $1 FROM event WHERE event.key = event_body.key AND event.uid = $2',
    [Buffer.from('else'), bad.uid],
  )
  const { work } = await store.claim(claimRequest())
  expect(work.map(({ event }) => event.uid)).toEqual([good.uid])
  await expect(store.body(bad.uid)).rejects.toMatchObject({ code: 'body_corrupt' })
  expect((await store.deliveries({ state: 'dead' }, { limit: 5 })).items).toMatchObject([{ eventUid: bad.uid }])
})

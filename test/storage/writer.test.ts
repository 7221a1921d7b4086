import { renameSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS } from '../../src/domain/limits.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { isFatal } from '../../src/storage/sqlite/errors.ts'
import { claimRequest, codeOf, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { newTask } from '../contract/task-samples.ts'
import { commitsInLog, openAt, ownPath, withDatabase } from './database-file.ts'

test('appends that overlap share commits', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const before = commitsInLog(path)
  for (let n = 0; n < 20; n++) await store.append(newEvent())
  expect(commitsInLog(path) - before).toBe(20)
  await Promise.all(Array.from({ length: 400 }, () => store.append(newEvent())))
  expect(commitsInLog(path) - before - 20).toBeLessThan(40)
})

test('an append beyond the bound of the queue is unavailable at once, and the queued ones are stored', async () => {
  const store = await openAt(ownPath())
  const queued = Array.from({ length: MAX_QUEUED_EVENTS }, () => store.append(newEvent()))
  expect(store.faults()).not.toEqual([])
  expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
  await Promise.all(queued)
  expect(store.faults()).toEqual([])
  await store.append(newEvent())
})

test('the queue of appends is bounded in bytes', async () => {
  const store = await openAt(ownPath())
  const body = Buffer.alloc(1024 * 1024)
  const answers = await Promise.all(
    Array.from({ length: MAX_QUEUED_BYTES / body.length + 1 }, () => codeOf(store.append(newEvent({ body })))),
  )
  expect(new Set(answers)).toEqual(new Set(['it resolved', 'unavailable']))
})

test('a claim is answered while appends keep coming', async () => {
  const store = await openAt(ownPath())
  let flooding = true
  const flood = Array.from({ length: 64 }, async () => {
    while (flooding) await store.append(newEvent())
  })
  for (let n = 0; n < 20; n++) {
    const { work } = await store.claim(claimRequest({ sharedLimit: 1 }))
    expect(work.length).toBeLessThanOrEqual(1)
  }
  flooding = false
  await Promise.all(flood)
})

test('a body whose bytes changed on disk is body_corrupt, and its delivery dead before it runs', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const [damaged, missing, sound] = [newEvent(), newEvent(), newEvent()]
  for (const event of [damaged, missing, sound]) await first.append(event)
  await first.close()
  withDatabase(path, (db) => {
    db.exec("UPDATE event_body SET bytes = CAST('[' || substr(bytes, 2) AS BLOB) WHERE key = 1")
    db.exec('DELETE FROM event_body WHERE key = 2')
  })
  const store = await openAt(path)
  expect(await codeOf(store.body(damaged.uid))).toBe('body_corrupt')
  expect(await codeOf(store.body(missing.uid))).toBe('body_corrupt')
  // One place is enough: a corrupt one does not take it.
  const { work } = await store.claim(claimRequest({ sharedLimit: 1 }))
  expect(work.map(({ event }) => event.uid)).toEqual([sound.uid])
  for (const { uid } of [damaged, missing]) {
    const [delivery] = (await store.event(uid))?.deliveries ?? []
    expect(delivery).toMatchObject({ state: 'dead', attempts: 1, history: [{ number: 1, outcome: 'body_corrupt' }] })
  }
  expect((await store.counts()).deliveries).toEqual({ pending: 0, running: 1, succeeded: 0, dead: 2, discarded: 0 })
})

test.each([
  { name: 'writer', at: 0 },
  { name: 'reader', at: 1 },
])(
  'a store whose $name thread dies is lost: each waiting call ends, later calls are unavailable, and it can still be closed',
  async ({ name, at }) => {
    const threads: Worker[] = []
    const notice = (worker: Worker) => threads.push(worker)
    process.on('worker', notice)
    onTestFinished(() => void process.off('worker', notice))
    const path = ownPath()
    const store = await openAt(path)
    const answer = codeOf(store.append(newEvent()))
    await threads[at]?.terminate()
    expect((await store.lost).message).toContain(name)
    // The thread may have answered before its end, and the writer outlives the reader.
    expect(await answer).toBeOneOf(['unavailable', 'it resolved'])
    expect(await codeOf(store.append(newEvent()))).toBe('unavailable')
    expect(store.faults()).toEqual([expect.stringContaining(name)])
    await store.close()
    await openAt(path)
  },
)

test('a store that is open answers although its database is moved away at once, and goes on when it is put back', async () => {
  const path = ownPath()
  const store = await openAt(path)
  renameSync(path, `${path}.away`)
  const event = newEvent()
  expect(await store.event(event.uid)).toBeUndefined()
  renameSync(`${path}.away`, path)
  await store.append(event)
  expect(await store.event(event.uid)).toMatchObject({ uid: event.uid })
})

test('a failed fsync is the only input or output error that ends the store', () => {
  const errorOf = (errcode: number) => Object.assign(new Error('disk I/O error'), { errcode })
  expect([1034, 1290].map((code) => isFatal(errorOf(code)))).toEqual([true, true])
  expect([10, 266, 778, 13, 8, 5].map((code) => isFatal(errorOf(code)))).toEqual(Array(6).fill(false))
  expect(isFatal(new Error('other'))).toBe(false)
})

/** An event of which one delivery runs, and how that ends well. */
async function runOne(store: OpenStore) {
  const { leased = [] } = await store.append(newEvent({ lease: { handlers: ['a'], leaseMs: 60_000 } }))
  return leased.map((each) => settlement(each))
}

test('an event that is leased at its append costs one commit, and its settlement shares that of the next append', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const before = commitsInLog(path)
  const settled = store.settle(await runOne(store))
  const next = await runOne(store)
  expect(await settled).toEqual([true])
  expect(commitsInLog(path) - before).toBe(2)
  expect(await store.settle(next)).toEqual([true])
  expect(commitsInLog(path) - before).toBe(3)
})

test('settlements of one turn of the event loop share a commit, and wait for nothing else', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const work = [await runOne(store), await runOne(store), await runOne(store)]
  const before = commitsInLog(path)
  expect(await Promise.all(work.map((each) => store.settle(each)))).toEqual([[true], [true], [true]])
  expect(commitsInLog(path) - before).toBe(1)
})

test('a claim is committed at once with the settlements before it, in their order', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const [done, again] = [await runOne(store), await runOne(store)]
  const before = commitsInLog(path)
  const retry = again.map((each) => ({ ...each, verdict: 'retry', outcome: 'failed' }) as const)
  const [, , claimed] = await Promise.all([store.settle(done), store.settle(retry), store.claim(claimRequest())])
  expect(claimed.work.map(({ attempt }) => attempt)).toEqual([2])
  expect(commitsInLog(path) - before).toBeLessThanOrEqual(2)
})

test('a claim sees the settlements that were given before it', async () => {
  const store = await openAt(ownPath())
  const [, claimed] = await Promise.all([store.settle(await runOne(store)), store.claim(claimRequest())])
  expect(claimed).toEqual({ work: [], nextDueAtMs: undefined })
})

test('closing the store records the settlements that wait', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const settled = store.settle(await runOne(store))
  await store.close()
  expect(await settled).toEqual([true])
  expect((await (await openAt(path)).counts()).deliveries).toMatchObject({ succeeded: 1, running: 0, pending: 0 })
})

test('tasks with many questions are deleted in several commits, so that an append waits for no more than one of them', async () => {
  const path = ownPath()
  const before = await openAt(path)
  const tasks = Array.from({ length: 50 }, () => newTask())
  await Promise.all(tasks.map((task) => before.track(task)))
  await Promise.all(tasks.map(({ uid }) => before.cancelTask(uid)))
  await before.close()
  withDatabase(path, (db) => {
    db.exec(`
      WITH RECURSIVE asked (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM asked WHERE n < 100)
      INSERT INTO task_question SELECT task.key * 128 + n % 100, n, 0, 5, 'poll', 'poller', 'unusable', NULL, 'why' FROM task, asked
    `)
  })
  const store = await openAt(path)
  await store.append(newEvent())
  const commits = commitsInLog(path)
  expect(await store.pruneTasks(START_MS + 1, 49)).toBe(49)
  expect(commitsInLog(path) - commits).toBe(3)
  expect(await store.pruneTasks(START_MS + 1, 49)).toBe(1)
  expect(await store.pruneTasks(START_MS + 1, 49)).toBe(0)
  await store.close()
  expect(withDatabase(path, (db) => db.prepare('SELECT count(*) AS n FROM task_question').get())).toEqual({ n: 0 })
})

import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { prepareClaimTasks } from '../../src/storage/sqlite/claim-tasks.ts'
import { StateCounts } from '../../src/storage/sqlite/counts.ts'
import { Damage } from '../../src/storage/sqlite/damage.ts'
import { prepareCancelTask, prepareEndTask } from '../../src/storage/sqlite/end-task.ts'
import { SCHEMA_VERSION } from '../../src/storage/sqlite/migrate.ts'
import { preparePruneTasks } from '../../src/storage/sqlite/prune.ts'
import { releaseAllTasks } from '../../src/storage/sqlite/reclaim-leases.ts'
import { prepareActivity, prepareFindTask } from '../../src/storage/sqlite/search-tasks.ts'
import { prepareTrackTask } from '../../src/storage/sqlite/track-task.ts'
import { allPages, claimOne, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import {
  endEvent,
  leaseOf,
  MAX_WAIT_MS,
  newTask,
  taskBy,
  taskClaim,
  trackSubmission,
} from '../contract/task-samples.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

const migration = (file: string): string =>
  readFileSync(new URL(`../../src/storage/sqlite/migrations/${file}`, import.meta.url), 'utf8')
const versionOf = (path: string): unknown => withDatabase(path, (db) => db.prepare('PRAGMA user_version').get())

/** As the first release left it: an event that succeeded, one that is pending, and one in conflict. */
function createVersion1(path: string): void {
  const event = `INSERT INTO event (key, uid, source, provider, id, variant, type, created_at, received_at, origin, status,
    reasons, task, api_version, headers, traceparent, checksum, size) VALUES`
  const rest = `'invoice.paid', '2026-11-23T09:59:59Z', ${START_MS}, 'webhook'`
  const sum = (text: string) => `'{}', NULL, '${hash('sha256', text)}', ${text.length}`
  withDatabase(path, (db) => {
    db.exec(`PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; BEGIN; ${migration('001-initial.sql')}
      ${event}
        (1, 'uid-1', 'stripe', 'stripe', 'one', 0, ${rest}, 'accepted', NULL, 'task_1', '2026', ${sum('first')}),
        (2, 'uid-2', 'stripe', 'stripe', 'two', 0, ${rest}, 'accepted', NULL, NULL, NULL, ${sum('second')}),
        (3, 'uid-3', 'stripe', 'stripe', 'two', 1, ${rest}, 'conflict', NULL, NULL, NULL, ${sum('third')});
      INSERT INTO event_body VALUES
        (1, CAST('first' AS BLOB)), (2, CAST('second' AS BLOB)), (3, CAST('third' AS BLOB));
      INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES
        (1024, 'a', 'succeeded', ${START_MS}, 1, 0), (2048, 'a', 'pending', ${START_MS}, 0, 0);
      INSERT INTO attempt VALUES (1024, 1, 1, 'succeeded', NULL, ${START_MS}, 5);
      UPDATE tally SET n = 1 WHERE state IN ('succeeded', 'pending');
      PRAGMA application_id = 0x486f6c64; PRAGMA user_version = 1; COMMIT`)
  })
}
test('the embedded store keeps the contents of a database of the first release, and takes tasks', async () => {
  const path = ownPath()
  createVersion1(path)
  expect(versionOf(path)).toEqual({ user_version: 1 })
  const store = await openAt(path)

  const events = await allPages((page) => store.events({}, page))
  expect(events.map(({ uid, status, task }) => [uid, status, task])).toEqual([
    ['uid-3', 'conflict', undefined],
    ['uid-2', 'accepted', undefined],
    ['uid-1', 'accepted', 'task_1'],
  ])
  expect(Buffer.from(await store.body('uid-1')).toString()).toBe('first')
  expect(await store.event('uid-1')).toMatchObject({ deliveries: [{ state: 'succeeded', history: [{ number: 1 }] }] })
  const again = newEvent({ id: 'one', body: Buffer.from('first') })
  expect(await store.append(again)).toEqual({ outcome: 'duplicate', uid: 'uid-1' })
  await store.settle([settlement(await claimOne(store))])

  // What came before there were tasks tells no end of one.
  const task = newTask({ id: 'task_1' })
  expect(await store.track(task)).toMatchObject({ created: true, task: { status: 'pending' } })
  await store.append(endEvent(task))
  expect(await taskBy(store, task.uid)).toMatchObject({ status: 'completed', resolvedBy: 'webhook' })
  expect(await store.counts()).toMatchObject({
    deliveries: { pending: 1, running: 0, succeeded: 2, dead: 0 },
    tasks: { submitting: 0, pending: 0, completed: 1, failed: 0, cancelled: 0, expired: 0 },
  })
  await store.close()
  expect(versionOf(path)).toEqual({ user_version: SCHEMA_VERSION })
})

test('a database that was upgraded from the first release has the schema of a new one', async () => {
  const [old, fresh] = [ownPath(), ownPath()]
  createVersion1(old)
  const schemas = []
  for (const path of [old, fresh]) {
    await (await openAt(path)).close()
    const select = 'SELECT type, name, sql FROM sqlite_schema ORDER BY name'
    schemas.push(withDatabase(path, (db) => db.prepare(select).all()))
  }
  expect(schemas[0]).toEqual(schemas[1])
})

test('the embedded store has its tasks when it is opened again', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const [pending, ended] = [newTask({ metadata: '{"a":1}' }), newTask()]
  for (const task of [pending, ended]) await first.track(task)
  await first.append(endEvent(ended))
  await first.cancelTask((await trackSubmission(first, { source: 'eu' })).uid)
  const before = await allPages((page) => first.tasks({}, page))
  const { tasks } = await first.counts()
  await first.close()

  const store = await openAt(path, START_MS + 50)
  expect(await allPages((page) => store.tasks({}, page))).toEqual(before)
  expect((await store.counts()).tasks).toEqual(tasks)
  expect(await store.append(endEvent(ended))).toMatchObject({ outcome: 'superseded' })
})

test('tasks that a killed process had leased are due at once, and marked as interrupted', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const [stale, expired, free] = [newTask({ maxWaitMs: 0 }), newTask({ deadlineMs: 0 }), newTask()]
  for (const task of [stale, expired, free]) await first.track(task)
  const leaseMs = 86_400_000
  await first.claimTasks(taskClaim({ leaseMs }))
  const { uid } = await trackSubmission(first, { leaseMs })
  const asked = newTask()
  await first.track(asked)
  await leaseOf(first, asked.uid, leaseMs)
  await first.close()

  const store = await openAt(path, START_MS + 50)
  const claimed = await store.claimTasks(taskClaim())
  expect(claimed.map((task) => task.uid)).toEqual([expired.uid, stale.uid, uid])
  // Its owner had it asked for before it was stale: it is left alone until then.
  expect((await store.task('stripe', asked.id))?.nextPollAtMs).toBe(START_MS + MAX_WAIT_MS)
  expect(claimed.every(({ interrupted }) => interrupted)).toBe(true)
  expect((await leaseOf(store, free.uid)).interrupted).toBe(false)
})

const TASKS = 10_000
const STALE = 100

test('a claim finds the stale ones of ten thousand tasks, and reads no others', { timeout: 120_000 }, async () => {
  const path = ownPath()
  const store = await openAt(path)
  const tasks = Array.from({ length: TASKS }, (_, n) => newTask(n % (TASKS / STALE) === 0 ? { maxWaitMs: 0 } : {}))
  for (let at = 0; at < TASKS; at += 500) await Promise.all(tasks.slice(at, at + 500).map((task) => store.track(task)))
  const claimed = await store.claimTasks(taskClaim({ staleLimit: 1_000, expiredLimit: 1_000 }))
  const stale = tasks.filter(({ maxWaitMs }) => maxWaitMs === 0)
  expect(claimed.map(({ uid }) => uid)).toEqual(stale.map(({ uid }) => uid))
  expect(await store.claimTasks(taskClaim())).toEqual([])
  await store.close()

  withDatabase(path, (db) => {
    for (const sql of statementsOf(db)) {
      const plan = db
        .prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .all()
        .map(({ detail }) => String(detail))
      expect(plan.join('; '), sql).not.toMatch(/SCAN task\b(?! USING INDEX task_expiring)|TEMP B-TREE/)
    }
  })
})

/** Whatever is asked of the table of tasks, lists apart. */
function statementsOf(db: DatabaseSync): readonly string[] {
  const statements: string[] = []
  const prepare = (sql: string) => {
    statements.push(sql)
    return db.prepare(sql)
  }
  const noting = { prepare } as DatabaseSync
  const counts = new StateCounts(db)
  const damage = new Damage(
    () => {},
    () => false,
  )
  const endTask = prepareEndTask(noting, counts, damage)
  prepareClaimTasks(noting, damage)
  prepareCancelTask(noting, endTask)
  prepareTrackTask(noting, counts, endTask, damage)
  preparePruneTasks(noting, counts, damage)
  prepareFindTask(noting)
  prepareActivity(noting)
  releaseAllTasks(noting, damage, START_MS)
  return statements.filter((sql) => sql.includes('task'))
}

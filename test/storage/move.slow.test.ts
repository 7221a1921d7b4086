import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ConfigurationError, messageOf } from '../../src/domain/errors.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { MOVED_TABLES, type MoveOutcome, type MoveProgress } from '../../src/domain/store-move.ts'
import { VERSION } from '../../src/domain/version.ts'
import { openStore } from '../../src/storage/open.ts'
import { moveStore } from '../../src/storage/transfer/move.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { newTask, taskClaim } from '../contract/task-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'
import { everythingIn, fillStore, MANY } from './moved-store.ts'

/** When all of what follows happens; the deadlines of the tasks are over. */
const NOW_MS = START_MS + 60_000

interface Stopping {
  readonly stopAt?: ((progress: MoveProgress) => boolean) | undefined
  readonly nowMs?: number
}

function move(from: string, to: string, { stopAt, nowMs = NOW_MS }: Stopping = {}): Promise<MoveOutcome> {
  const stopping = new AbortController()
  const onProgress = (progress: MoveProgress): void => {
    if (stopAt?.(progress) === true) stopping.abort()
  }
  return moveStore(
    { from, to, by: 'alice', onProgress },
    { signal: stopping.signal, onLog: () => {}, clock: () => nowMs },
  )
}

const refusalOf = (moving: Promise<MoveOutcome>): Promise<string> =>
  moving.then(
    ({ outcome }) => outcome,
    (error: unknown) => (error instanceof ConfigurationError ? error.faults.join(' ') : messageOf(error)),
  )

async function openMoved(url: string): Promise<OpenStore> {
  const store = await openStore(url, { clock: () => NOW_MS })
  onTestFinished(() => store.close())
  return store
}

const FEW = 30
const filledStores = new Map<number, Promise<Buffer>>()

/** A store of the test's own; it is made once, and copied. */
async function filled(many = FEW): Promise<string> {
  const path = ownPath()
  const making = filledStores.get(many) ?? fillStore(path, many).then(() => readFileSync(path))
  filledStores.set(many, making)
  writeFileSync(path, await making)
  return path
}

/** Stopped when everything is copied and nothing is verified. */
const copyOnly = (from: string, to: string) => move(from, to, { stopAt: ({ step }) => step === 'verifying' })

const rowsIn = async (url: string): Promise<object[]> =>
  queryIn(
    url,
    `SELECT (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM event_key) AS keys,
      (SELECT count(*) FROM task) AS tasks, (SELECT count(*) FROM move) AS moves`,
  )

test('a moved store answers as it did before, and goes on', { timeout: 60_000 }, async () => {
  const [path, url] = [await filled(MANY), ownSchema()]
  const moved = await move(path, url)
  expect(moved).toMatchObject({ outcome: 'moved', resumed: false })
  if (moved.outcome !== 'moved') return
  expect(moved.tables.map(({ table }) => table)).toEqual(MOVED_TABLES)
  for (const { table, source, target, equal } of moved.tables) {
    expect(source.rows, table).toBeGreaterThan(0)
    expect([target, equal]).toEqual([source, true])
  }

  const [embedded, store] = [await openAt(path, NOW_MS), await openMoved(url)]
  const before = await everythingIn(embedded)
  expect(await everythingIn(store)).toEqual(before)
  for (const span of ['minute', 'hour', 'handlers'] as const) {
    const query = { span, sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER, limit: MANY }
    expect(await store.statRows(query)).not.toEqual([])
    expect(await store.statRows(query)).toEqual(await embedded.statRows(query))
  }
  expect(Object.values((await store.counts()).tasks).every((n) => n > 0)).toBe(true)
  expect((await store.counts()).deliveries).toMatchObject({ running: 0, succeeded: MANY - 20, dead: 1 })

  for (const event of before.events.slice(0, 40)) {
    if (event === undefined) continue
    const { source, id } = event
    const status = event.status === 'quarantined' ? 'quarantined' : 'accepted'
    const byBody = source === 'by-body' ? ({ id: `another ${id}`, dedupe: 'body' } as const) : { id }
    const again = newEvent({ source, status, body: await store.body(event.uid), ...byBody })
    const [ours, theirs] = [await store.append(again), await embedded.append(again)]
    expect(ours).toEqual(theirs)
    expect(ours.outcome).toMatch(/duplicate|conflict/)
  }
  const fresh = newEvent({ handlers: ['fresh'] })
  expect(await store.append(fresh)).toEqual({ outcome: 'accepted', uid: fresh.uid })
  expect((await store.event(fresh.uid))?.deliveries).toHaveLength(1)
  const handlers = ['a', 'b', 'c', 'd', 'a\0', 'late', 'bulk', 'fresh', 'or\0dered'].map((name) => ({
    name,
    limit: 5_000,
  }))
  const { work } = await store.claim(claimRequest({ handlers, sharedLimit: 5_000, isolatedLimit: 5_000 }))
  const counts = await store.counts()
  // One waits for its turn.
  expect(counts.deliveries).toMatchObject({ pending: 1, running: work.length })
  const first = work.filter(({ handler }) => handler === 'or\0dered')
  expect(first).toHaveLength(1)
  await store.settle(first.map((each) => settlement(each)))
  expect((await store.claim(claimRequest({ handlers }))).work).toMatchObject([{ handler: 'or\0dered', attempt: 1 }])
  const theirs = await embedded.claim(claimRequest({ handlers, sharedLimit: 5_000, isolatedLimit: 5_000 }))
  expect(new Set(work.map(({ deliveryId }) => deliveryId)).size).toBe(theirs.work.length + 1)

  const { uid } = (await store.track(newTask())).task
  const claim = taskClaim({ staleLimit: 1_000, expiredLimit: 1_000 })
  const [ourTasks, theirTasks] = [await store.claimTasks(claim), await embedded.claimTasks(claim)]
  const known = (task: (typeof ourTasks)[number]) => ({ ...task, lease: undefined })
  expect(ourTasks.filter((task) => task.uid !== uid).map(known)).toEqual(theirTasks.map(known))
  expect(theirTasks.length).toBeGreaterThan(0)
  expect(await store.track(newTask({ id: 'not tracked yet' }))).toMatchObject({ task: { status: 'completed' } })
})

test('a move is in the audit of the target, after the entries that it moved, and not in that of its source', async () => {
  const [path, url] = [await filled(), ownSchema()]
  await move(path, url)
  const audits = [await openMoved(url), await openAt(path, NOW_MS)].map((store) => store.audit.list({}, { limit: 10 }))
  const [moved, kept] = (await Promise.all(audits)).map(({ items }) => items)
  expect(kept).toHaveLength(2)
  expect(moved).toEqual([
    {
      id: expect.any(Number),
      atMs: expect.any(Number),
      action: 'store.migrate',
      target: path,
      count: expect.any(Number),
      outcome: 'done',
      actor: 'command',
      claimedName: 'alice',
      agent: `holdfast/${VERSION}`,
    },
    ...(kept ?? []),
  ])
  expect(await queryIn(url, 'SELECT count(*)::integer AS n FROM event')).toEqual([{ n: moved?.[0]?.count }])
})

test('a move that is stopped after each batch has the same result as one without a stop', {
  timeout: 120_000,
}, async () => {
  const path = await filled(MANY)
  const [straight, halting] = [ownSchema(), ownSchema()]
  const expected = await move(path, straight)
  let outcome: MoveOutcome
  const stops: string[] = []
  for (;;) {
    const from = new Map<string, number>()
    const isFurther = ({ step, table, done }: MoveProgress): boolean => {
      const before = from.get(step + table) ?? done
      from.set(step + table, before)
      return done > before && !stops.includes('verifying event')
    }
    // Each is later than the one before, and lets go of the same leases.
    outcome = await move(path, halting, { nowMs: NOW_MS + stops.length * 1_000, stopAt: isFurther })
    if (outcome.outcome !== 'stopped') break
    stops.push(`${outcome.at?.step} ${outcome.at?.table}`)
    await expect(openMoved(halting)).rejects.toThrow('the move is not finished: run holdfast migrate again')
  }
  for (const table of ['event', 'delivery', 'attempt', 'task']) expect(stops).toContain(`moving ${table}`)
  expect(stops.filter((stop) => stop === 'moving event').length).toBeGreaterThan(3)
  expect(outcome).toEqual({ ...expected, resumed: true })
  expect(await everythingIn(await openMoved(halting))).toEqual(await everythingIn(await openMoved(straight)))
})

describe('a move that is run again finds what was changed in the target', () => {
  test.each([
    ['event_body', '3', 'UPDATE event_body SET bytes = set_byte(bytes, 0, get_byte(bytes, 0) # 1) WHERE key = 3'],
    ['event_body', '4', 'DELETE FROM event_body WHERE key = 4'],
    ['event', '5', "UPDATE event SET task_word = 'x' WHERE key = 5"],
    ['event_key', '6', 'DELETE FROM event_key WHERE event = 6'],
    ['event_key', String(FEW + 10), `DELETE FROM body_key WHERE event = ${FEW + 10}`],
    ['delivery', String(7 * 1_024), `UPDATE delivery SET due_at = due_at + 1 WHERE key = ${7 * 1_024}`],
    ['attempt', `${12 * 1_024}/1`, `DELETE FROM attempt WHERE delivery = ${12 * 1_024}`],
    ['attempt', `${13 * 1_024}/2`, `INSERT INTO attempt VALUES (${13 * 1_024}, 2, 2, 'failed', NULL, 0, 0)`],
    ['task', '1', 'UPDATE task SET metadata = NULL WHERE key = 1'],
  ])('in the table %s at the key %s', async (table, key, sql) => {
    const [path, url] = [await filled(), ownSchema()]
    await copyOnly(path, url)
    await queryIn(url, sql)
    const outcome = await move(path, url)
    expect(outcome).toMatchObject({ outcome: 'differs', resumed: true, difference: { table, key } })
    if (outcome.outcome === 'differs')
      expect(outcome.tables.filter(({ equal }) => !equal).map((compared) => compared.table)).toEqual(
        table === 'event_key' ? [] : [table],
      )
    await expect(openMoved(url)).rejects.toThrow('not finished')
  })
})

describe('a move is refused without any change', () => {
  test('into a database that is not empty', async () => {
    const [path, url] = [await filled(), ownSchema()]
    const store = await openMoved(url)
    await store.append(newEvent())
    await store.close()
    const before = await rowsIn(url)
    expect(await refusalOf(move(path, url))).toContain('holds events already')
    expect(await rowsIn(url)).toEqual(before)
  })

  test('into the database that the store was moved to', async () => {
    const [path, url] = [ownPath(), ownSchema()]
    const store = await openAt(path)
    await store.track(newTask())
    await store.close()
    expect(await move(path, url)).toMatchObject({ outcome: 'moved' })
    expect(await refusalOf(move(path, url))).toContain(
      'holds tasks, audit entries (a complete move leaves one) already',
    )
  })

  test('from another store than that of the unfinished move', async () => {
    const [path, other, url] = [await filled(), ownPath(), ownSchema()]
    await copyOnly(path, url)
    const store = await openAt(other)
    await store.append(newEvent())
    await store.close()
    const before = await rowsIn(url)
    expect(await refusalOf(move(other, url))).toContain('is from another store')
    expect(await rowsIn(url)).toEqual(before)
    expect(await move(path, url)).toMatchObject({ outcome: 'moved', resumed: true })
  })

  test('while the embedded store is in use', async () => {
    const [path, url] = [ownPath(), ownSchema()]
    await openAt(path)
    expect(await refusalOf(move(path, url))).toContain('is in use by another process')
    expect(await queryIn(url, 'SELECT FROM pg_namespace WHERE nspname = current_schema()')).toEqual([])
  })

  test('while a service runs on the target', async () => {
    const [path, url] = [await filled(), ownSchema()]
    const store = await openStore(url)
    await store.replicas?.announce({ uid: newUid(), handlers: undefined })
    expect(await refusalOf(move(path, url))).toContain('A service runs on this database')
    await store.close()
  })

  test('from a path without a database', async () => {
    expect(await refusalOf(move(`${ownPath()}-not`, ownSchema()))).toContain('There is no database')
  })

  test.each([
    ['event', 'UPDATE event SET uid = ? WHERE key = 2', 'The event with key 2 has the uid "of somebody"'],
    ['task', 'UPDATE task SET event = ? WHERE key = 1', 'The task with key 1 has the event "of somebody"'],
  ])('where an identifier of a row of %s is not a UUID', async (_, sql, reason) => {
    const [path, url] = [await filled(), ownSchema()]
    withDatabase(path, (db) => db.prepare(sql).run('of somebody'))
    expect(await refusalOf(move(path, url))).toContain(reason)
    expect(await rowsIn(url)).toMatchObject([{ events: '0', moves: '0' }])
  })
})

test('a move names a damaged body of the embedded store', async () => {
  const [path, url] = [await filled(), ownSchema()]
  withDatabase(path, (db) => db.exec("UPDATE event_body SET bytes = CAST('other' AS BLOB) WHERE key = 3"))
  expect(await refusalOf(move(path, url))).toContain('The event with key 3 has no body that matches its checksum')
})

test('two moves from copies of one store do not mix', async () => {
  const [path, copy, url] = [await filled(), ownPath(), ownSchema()]
  copyFileSync(path, copy)
  const outcomes = await Promise.all([path, copy].map((from) => refusalOf(move(from, url))))
  expect(outcomes).toContain('moved')
  expect((await openMoved(url)).faults()).toEqual([])
  expect(await refusalOf(move(path, url))).toContain('holds events, ')
})

test('a move of an empty store works', async () => {
  const [path, url] = [ownPath(), ownSchema()]
  await (await openAt(path)).close()
  expect(await move(path, url)).toMatchObject({ outcome: 'moved' })
  expect(await refusalOf(move(path, url))).toContain('holds audit entries (a complete move leaves one) already')
  const event = newEvent()
  expect(await (await openMoved(url)).append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
})

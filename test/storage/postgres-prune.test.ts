import { expect, onTestFinished, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent, pruned, START_MS } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { connectIn, ownSchema, queryIn } from '../support/postgres/schema.ts'

const WAITING = 'SELECT pid FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))'

test('retention and a replay that count deliveries of one job lock the counts in the same order', async () => {
  const url = ownSchema()
  const store = await openStore(url, { clock: () => START_MS })
  const handlers = Array.from('abcdefgh')
  await store.append(newEvent({ handlers, receivedAtMs: START_MS - 900_000_000 }))
  await store.append(newEvent())
  await queryIn(
    url,
    `INSERT INTO replay (key, id, filter, matched, matched_more, state, created_at, replayed, skipped, skips, cursor, bound)
     VALUES (1, $1, '{}', 1, 0, 'done', 0, 1, 0, '{}', 0, 0)`,
    [newUid()],
  )
  await queryIn(
    url,
    "UPDATE delivery SET state = 'succeeded', replay = 1 WHERE key / 1024 = (SELECT min(key) FROM event)",
  )
  await queryIn(url, "INSERT INTO replay_tally SELECT 1, handler, 'succeeded', 1 FROM delivery WHERE replay = 1")

  const other = await connectIn(url)
  onTestFinished(() => other.end())
  await other.query('BEGIN')
  const { rows } = await other.query("SELECT pg_backend_pid() AS pid FROM replay_tally WHERE handler = 'a' FOR UPDATE")
  const pruning = pruned(store, START_MS - 800_000_000)
  await eventually(
    () => queryIn(url, WAITING, [rows[0].pid]),
    (waiting) => waiting.length > 0,
    5_000,
  )
  const free = await queryIn(url, 'SELECT handler FROM replay_tally ORDER BY handler FOR UPDATE SKIP LOCKED')
  await other.query('ROLLBACK')
  expect(free.map((row) => row.handler)).toEqual(handlers.slice(1))
  expect(await pruning).toBe(1)
  await store.close()
})

test('appends and retention lock the counts of repeats in order of key, so that neither waits for the other in a circle', async () => {
  const url = ownSchema()
  const store = await openStore(url, { clock: () => START_MS })
  onTestFinished(() => store.close())
  const old = { handlers: [], status: 'unhandled', receivedAtMs: START_MS - 900_000_000 } as const
  const events = Array.from({ length: 4 }, () => newEvent(old))
  for (const event of events) {
    await store.append(event)
    await store.append({ ...event, uid: newUid() })
  }
  await store.append(newEvent())
  const other = await connectIn(url)
  onTestFinished(() => other.end())

  /** Keeps the count of the first event locked, and finds out which of the others `run` has locked while it waits for that one. */
  const lockedBy = async (run: () => Promise<unknown>): Promise<number> => {
    await other.query('BEGIN')
    const lock = 'SELECT pg_backend_pid() AS pid FROM event_repeat ORDER BY key LIMIT 1 FOR UPDATE'
    const { rows } = await other.query(lock)
    const running = run()
    await eventually(
      () => queryIn(url, WAITING, [rows[0].pid]),
      (waiting) => waiting.length > 0,
      5_000,
    )
    const free = await queryIn(url, 'SELECT FROM event_repeat ORDER BY key FOR UPDATE SKIP LOCKED')
    await other.query('ROLLBACK')
    await running
    return events.length - 1 - free.length
  }
  const resend = () => Promise.all(events.toReversed().map((event) => store.append({ ...event, uid: newUid() })))
  expect(await lockedBy(resend)).toBe(0)
  for (const { uid } of events) expect(await store.event(uid)).toMatchObject({ repeats: { times: 2 } })
  expect(await lockedBy(() => pruned(store, START_MS - 800_000_000))).toBe(0)
  expect(await queryIn(url, 'SELECT FROM event_repeat')).toEqual([])
})

test('the count of an event that was deleted while it was sent again is deleted at the end of the next walk', async () => {
  const url = ownSchema()
  const store = await openStore(url, { clock: () => START_MS })
  onTestFinished(() => store.close())
  const kept = newEvent()
  await store.append(kept)
  await store.append({ ...kept, uid: newUid() })
  await queryIn(url, 'INSERT INTO event_repeat VALUES (0, 1, 0)')
  await pruned(store, START_MS - 800_000_000)
  expect(await queryIn(url, 'SELECT FROM event_repeat')).toHaveLength(1)
  expect(await store.event(kept.uid)).toMatchObject({ repeats: { times: 1 } })
})

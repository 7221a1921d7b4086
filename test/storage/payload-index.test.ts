import { expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { TO_BE_READ } from '../../src/domain/payload-index.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, newEvent, pruned, settlement } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { ownPath, withDatabase } from './database-file.ts'

type Run = (sql: string) => unknown

const inSqlite = (): { url: string; run: Run } => {
  const path = ownPath()
  return { url: `file:${path}`, run: (sql) => withDatabase(path, (db) => db.prepare(sql).all()) }
}
const inPostgres = (): { url: string; run: Run } => {
  const url = ownSchema()
  return { url, run: (sql) => queryIn(url, sql) }
}

test.each([
  ['SQLite', inSqlite, 'CAST(\'{"customer":"c2"}\' AS BLOB)'],
  ['PostgreSQL', inPostgres, '\'{"customer":"c2"}\'::bytea'],
])('the index of payloads does not read a long body that %s stored before', async (_, database, short) => {
  const { url, run } = database()
  const before = await openStore(url)
  for (const text of ['', 'x'.repeat(300_000)])
    await before.append(newEvent({ body: Buffer.from(JSON.stringify({ customer: 'c1', text })) }))
  await before.close()
  // If it were read, its value would be found.
  await run(`UPDATE event_body SET bytes = ${short} WHERE key = (SELECT key FROM event WHERE size > 300000)`)
  const store = await openStore(url)
  await store.payloadIndex.keepPaths([{ source: 'stripe', path: 'customer' }])
  while (await store.payloadIndex.indexStep()) await new Promise(setImmediate)
  await store.close()
  expect(await run('SELECT value FROM payload_value ORDER BY event')).toEqual([{ value: 'c1' }, { value: TO_BE_READ }])
})

test.each([
  ['SQLite', inSqlite],
  ['PostgreSQL', inPostgres],
])(
  'retention leaves no indexed value, and no mark of a replay, of the events that it deletes from %s',
  async (_, database) => {
    const { url, run } = database()
    const store = await openStore(url)
    await store.payloadIndex.keepPaths([{ source: 'stripe', path: 'customer' }])
    const body = Buffer.from('{"customer":"c1"}')
    const { uid: eventUid } = await store.append(
      newEvent({ body, indexed: [['customer', 'c1']], receivedAtMs: Date.now() - 86_400_000 }),
    )
    while (await store.payloadIndex.indexStep()) await new Promise(setImmediate)
    await store.settle([settlement(await claimOne(store))])
    const handlers = (await store.event(eventUid))?.deliveries.map(({ handler }) => handler) ?? []
    await store.replay({ eventUid, handlers, status: 'accepted', reasons: [], id: newUid() })
    await store.settle([settlement(await claimOne(store))])
    const rows = async () =>
      [await run('SELECT * FROM payload_value'), await run('SELECT * FROM replay_mark')] as unknown[][]
    expect((await rows()).map(({ length }) => length)).toEqual([1, 1])
    expect(await pruned(store, Date.now() - 1_000)).toBe(1)
    expect(await rows()).toEqual([[], []])
    await store.close()
  },
)

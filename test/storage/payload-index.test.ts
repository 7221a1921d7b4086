import { expect, test } from 'vitest'
import { TO_BE_READ } from '../../src/domain/payload-index.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent } from '../contract/store-samples.ts'
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

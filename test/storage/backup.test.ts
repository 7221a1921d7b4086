import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { ConfigurationError, messageOf } from '../../src/domain/errors.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { BackupOutcome, BackupProgress } from '../../src/domain/store-backup.ts'
import { MOVED_TABLES } from '../../src/domain/store-move.ts'
import { openStore } from '../../src/storage/open.ts'
import { openFileImport } from '../../src/storage/sqlite/import.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { appendUntilKilled } from './crashed.ts'
import { openAt, openRestored, ownDirectory, ownPath, withDatabase } from './database-file.ts'
import { everythingIn } from './moved-store.ts'

function make(databaseUrl: string, file: string, onProgress: (progress: BackupProgress) => void = () => {}) {
  const stopping = new AbortController()
  const request = { databaseUrl, file, onProgress }
  return { stopping, made: backUp(request, { signal: stopping.signal, onLog: () => {} }) }
}

const faultOf = (making: Promise<BackupOutcome>): Promise<string> =>
  making.then(
    ({ outcome }) => outcome,
    (error: unknown) => (error instanceof ConfigurationError ? error.faults.join(' ') : messageOf(error)),
  )

async function fill(path: string): Promise<void> {
  const store = await openAt(path)
  for (let n = 0; n < 5; n++) await store.append(newEvent({ handlers: ['h'] }))
  await store.close()
}

/** What is in the directory of a file besides the database and its files. */
const leftIn = (file: string): readonly string[] =>
  readdirSync(dirname(file)).filter((name) => !name.startsWith('holdfast.db'))

test('a backup of an embedded store that is in use has all that was acknowledged before, is for its owner alone, and a store opened on it goes on', async () => {
  const path = ownPath()
  await fill(path)
  const store = await openAt(path)
  const known = newEvent({ handlers: ['h'] })
  await store.append(known)
  const file = join(ownDirectory(), 'backup.db')
  let isWriting = true
  const writing = (async () => {
    while (isWriting) await store.append(newEvent({ source: 'later', handlers: ['h'] }))
  })()
  const outcome = await make(`file:${path}`, file).made
  isWriting = false
  await writing
  if (outcome.outcome !== 'done') throw new Error(outcome.outcome)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(outcome.backup).toMatchObject({ file, bytes: statSync(file).size })
  expect(leftIn(file)).toEqual(['backup.db'])
  expect(await faultOf(make(`file:${path}`, file).made)).toContain('never replaces a file')

  const restored = join(ownDirectory(), 'holdfast.db')
  copyFileSync(file, restored)
  const again = await openRestored(restored)
  const [before, after] = [await everythingIn(store), await everythingIn(again)]
  const uids = new Map(after.events.map((event) => [event?.uid, event]))
  expect(before.events.filter((event) => event?.source !== 'later' && !uids.has(event?.uid))).toEqual([])
  expect(after.events.length).toBe(outcome.backup.rows.event)
  expect(after.bodies.length).toBe(outcome.backup.rows.event)
  expect((await again.append({ ...known })).outcome).toBe('duplicate')
  const { work } = await again.claim(claimRequest({ handlers: [{ name: 'h', limit: 1 }] }))
  expect(work.length).toBe(1)
})

test('a backup of a store whose process was killed has what is only in the log, and changes neither', async () => {
  const path = ownPath()
  const acknowledged = await appendUntilKilled(path)
  const [database, log] = [readFileSync(path), readFileSync(`${path}-wal`)]
  const file = join(ownDirectory(), 'backup.db')
  expect(await make(`file:${path}`, file).made).toMatchObject({ outcome: 'done' })
  expect([readFileSync(path).equals(database), readFileSync(`${path}-wal`).equals(log)]).toEqual([true, true])
  const restored = await openRestored(join(dirname(file), 'backup.db'))
  for (const uid of acknowledged) expect(await restored.event(uid)).toBeDefined()
})

test('a backup of a store whose log was cut is refused, and says how many acknowledged events are missing', async () => {
  const path = ownPath()
  await appendUntilKilled(path)
  truncateSync(`${path}-wal`, statSync(`${path}-wal`).size / 2)
  const file = join(ownDirectory(), 'backup.db')
  expect(await faultOf(make(`file:${path}`, file).made)).toMatch(/\d+ acknowledged events are missing/)
  expect(leftIn(file)).toEqual([])
})

test('a backup is refused for a body that does not match its checksum, a foreign or missing database, and a name that cannot be', async () => {
  const path = ownPath()
  await fill(path)
  const directory = ownDirectory()
  const file = join(directory, 'backup.db')
  const fault = (url: string, name = file) => faultOf(make(url, name).made)
  expect(await fault(`file:${path}`, `${path}-more`)).toContain("a name of the database's own files")
  expect(await fault(`file:${path}`, join(directory, 'none', 'backup.db'))).toContain('cannot be written')
  withDatabase(path, (db) => db.exec("UPDATE event_body SET bytes = x'00' WHERE key = 2"))
  expect(await fault(`file:${path}`)).toMatch(/the body of event \S+ does not match its checksum/)
  expect(await fault(`file:${path}.none`)).toContain('There is no database')
  writeFileSync(`${path}.txt`, 'not a database, but long enough for the header of one '.repeat(20))
  expect(await fault(`file:${path}.txt`)).toContain('damaged or not a database')
  withDatabase(`${path}.other`, (db) => db.exec('CREATE TABLE event (key); PRAGMA user_version = 3'))
  expect(await fault(`file:${path}.other`)).toContain('is not a database of Holdfast')
  expect(leftIn(file)).toEqual([])
})

test('a backup that is stopped leaves nothing', async () => {
  const [path, url] = [ownPath(), ownSchema()]
  await fill(path)
  const file = join(ownDirectory(), 'backup.db')
  const embedded = make(`file:${path}`, file)
  embedded.stopping.abort()
  expect(await embedded.made).toEqual({ outcome: 'stopped' })
  const store = await openStore(url)
  await store.append(newEvent())
  await store.close()
  const shared = make(url, file, () => shared.stopping.abort())
  expect(await shared.made).toEqual({ outcome: 'stopped' })
  expect(leftIn(file)).toEqual([])
})

test('a backup of PostgreSQL is an embedded store that knows its events', async () => {
  const url = ownSchema()
  const shared = await openStore(url, { clock: () => START_MS })
  const known = newEvent({ handlers: ['h'] })
  await shared.append(known)
  const file = join(ownDirectory(), 'backup.db')
  expect(await make(url, file).made).toMatchObject({ outcome: 'done', backup: { rows: { event: 1, event_body: 1 } } })
  await shared.close()
  const embedded = await openRestored(file)
  expect((await embedded.append(known)).outcome).toBe('duplicate')
  expect(await embedded.body(known.uid)).toEqual(new Uint8Array(known.body))
})

test('a backup of PostgreSQL without workers has its ordered deliveries, which run in order before those that come later', async () => {
  const url = ownSchema()
  const shared = await openStore(url, { clock: () => START_MS })
  const ordered = (orderKey: number) => newEvent({ orderKeys: { a: orderKey } })
  const claimed = async (store: OpenStore) => (await store.claim(claimRequest({ ordered: true }))).work
  const running = ordered(2)
  await shared.append(running)
  await claimed(shared)
  const others = [ordered(1), ordered(1), ordered(2)]
  for (const event of others) await shared.append(event)
  const file = join(ownDirectory(), 'backup.db')
  expect(await make(url, file).made).toMatchObject({ outcome: 'done' })
  await shared.close()
  const embedded = await openRestored(file)
  expect(await embedded.counts()).toMatchObject({ deliveries: { pending: 4 } })
  const later = ordered(1)
  await embedded.append(later)
  const rounds: string[][] = []
  for (let work = await claimed(embedded); work.length > 0; work = await claimed(embedded)) {
    rounds.push(work.map(({ event }) => event.uid))
    await embedded.settle(work.map((each) => settlement(each)))
  }
  const [first, second, behind] = others.map(({ uid }) => uid)
  expect(rounds.map((uids) => new Set(uids))).toEqual([
    new Set([running.uid, first]),
    new Set([behind, second]),
    new Set([later.uid]),
  ])
})

test('a backup of PostgreSQL is refused for a schema without a store or of another version, and changes nothing there', async () => {
  const url = ownSchema()
  const file = join(ownDirectory(), 'backup.db')
  expect(await faultOf(make(url, file).made)).toContain('has no store of Holdfast')
  const store = await openStore(url)
  await store.close()
  await queryIn(url, 'UPDATE schema_version SET version = version - 1')
  expect(await faultOf(make(url, file).made)).toContain('make the backup with the Holdfast that uses the database')
  expect(existsSync(file)).toBe(false)
})

/** Tables of PostgreSQL that an embedded store has in another form, or not at all. */
const OF_POSTGRES_ALONE = [
  'attempt_detail',
  'body_key',
  'clock_record',
  'event_key',
  'known_handler',
  'late_entry',
  'lease_holder',
  'move',
  'replica',
  'schema_version',
]

test('every table of PostgreSQL is in a backup with all its columns, or is known not to belong there', async () => {
  const [path, url] = [ownPath(), ownSchema()]
  await (await openStore(url)).close()
  writeFileSync(path, '')
  const { others, close } = openFileImport(path, MOVED_TABLES)
  close()
  const shared = await queryIn<{ name: string; columns: string[] }>(
    url,
    `SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attname) AS columns FROM pg_class AS c
     JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     GROUP BY 1`,
  )
  const elsewhere = [...MOVED_TABLES, ...OF_POSTGRES_ALONE, 'payload_path', 'payload_value', 'tally', 'watermark']
  const copied = shared.filter(({ name }) => !elsewhere.includes(name))
  expect(Object.fromEntries(copied.map(({ name, columns }) => [name, columns]))).toEqual(
    Object.fromEntries([...others].map(([name, columns]) => [name, columns.toSorted()])),
  )
})

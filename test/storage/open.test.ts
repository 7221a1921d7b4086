import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ConfigurationError } from '../../src/domain/errors.ts'
import { openStore } from '../../src/storage/open.ts'
import { refusedFileSystem } from '../../src/storage/sqlite/database-directory.ts'
import { newEvent } from '../contract/store-samples.ts'
import { makeLockFile, openAt, openRestored, ownDirectory, ownPath, withDatabase } from './database-file.ts'

const faultsOf = (url: string): Promise<unknown> =>
  openStore(url).then(
    () => 'it opened',
    (error: unknown) => (error instanceof ConfigurationError ? error.faults : error),
  )

test('the embedded store takes a relative path as relative to the working directory, and makes missing directories', async () => {
  const path = `${ownDirectory()}/a/b/holdfast.db`
  await openAt(relative(process.cwd(), path))
  expect(existsSync(path)).toBe(true)
})

test('the embedded store makes its database, and all files beside it, readable for their owner only', async () => {
  const path = ownPath()
  const store = await openAt(path)
  await store.append(newEvent())
  const files = readdirSync(dirname(path))
  expect(files).toEqual(expect.arrayContaining(['holdfast.db', 'holdfast.db-lock', 'holdfast.db-wal']))
  for (const file of files) expect(statSync(join(dirname(path), file)).mode & 0o077).toBe(0)
})

test.each(['', 'file:', 'file:data/', 'mysql://localhost', 'data/holdfast.db', 'file:///%00'])(
  'the embedded store refuses the URL %j',
  async (url) => {
    expect(await faultsOf(url)).toEqual([expect.stringContaining('DATABASE_URL must be file:')])
  },
)

test('the embedded store refuses a directory that it cannot make', async () => {
  const directory = ownDirectory()
  writeFileSync(`${directory}/file`, '')
  expect(await faultsOf(`file:${directory}/file/holdfast.db`)).toEqual([expect.stringContaining('cannot be written')])
})

test('the embedded store refuses a directory in place of its database', async () => {
  const path = ownPath()
  mkdirSync(path)
  makeLockFile(path)
  expect(await faultsOf(`file:${path}`)).toEqual([expect.stringContaining('cannot be opened')])
})

test('the embedded store refuses a file that is not a database and leaves it as it is', async () => {
  const path = ownPath()
  writeFileSync(path, 'not a database, but long enough to look like one'.repeat(100))
  makeLockFile(path)
  expect(await faultsOf(`file:${path}`)).toEqual([expect.stringContaining('damaged or not a database')])
})

test("the embedded store refuses another program's database", async () => {
  const path = ownPath()
  withDatabase(path, (db) => db.exec('CREATE TABLE theirs (a)'))
  makeLockFile(path)
  expect(await faultsOf(`file:${path}`)).toEqual([expect.stringContaining('of another program')])
})

test('the embedded store upgrades a database of each older schema with its contents', async () => {
  const directory = fileURLToPath(new URL('../../src/storage/sqlite/migrations/', import.meta.url))
  const migrations = readdirSync(directory).toSorted()
  const versionOf = (file: string): number => Number.parseInt(file, 10)
  const migrationsUpTo = (version: number): string =>
    migrations
      .filter((file) => versionOf(file) <= version)
      .map((file) => readFileSync(join(directory, file), 'utf8'))
      .join('')
  for (let version = 1; version <= versionOf(migrations.at(-1) ?? ''); version++) {
    const path = ownPath()
    withDatabase(path, (db) => {
      db.exec(migrationsUpTo(version))
      db.exec(`PRAGMA application_id = ${0x486f6c64}; PRAGMA user_version = ${version}`)
      db.exec(`
        INSERT INTO event (key, uid, source, provider, id, variant, type, created_at, received_at, origin, status, headers,
          checksum, size)
        VALUES (7, 'old', 's', 'p', 'i', 0, 't', 'then', 1, 'webhook', 'accepted', '{}', 'c', 2);
        INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES (${7 * 1024}, 'a', 'dead', 1, 1, 0);
        INSERT INTO attempt (delivery, ordinal, number, outcome, error, started_at, duration_ms)
        VALUES (${7 * 1024}, 1, 1, 'thread_lost', 'gone', 1, 2);
      `)
    })
    const store = await openRestored(path)
    const [delivery] = (await store.event('old'))?.deliveries ?? []
    expect(delivery).toMatchObject({ handler: 'a', state: 'dead' })
    expect(delivery?.history).toEqual([
      { number: 1, outcome: 'thread_lost', error: 'gone', startedAtMs: 1, durationMs: 2 },
    ])
    await store.append(newEvent())
  }
})

test('the embedded store refuses a newer schema', async () => {
  const path = ownPath()
  await (await openAt(path)).close()
  withDatabase(path, (db) => db.exec('PRAGMA user_version = 1000'))
  expect(await faultsOf(`file:${path}`)).toEqual([expect.stringContaining('newer')])
})

test('the embedded store refuses a second opener until the first one closes', async () => {
  const path = ownPath()
  const first = await openAt(path)
  expect(await faultsOf(`file:${path}`)).toEqual([expect.stringContaining('in use by another process')])
  await first.close()
  await openAt(path)
})

test('an opener that the embedded store refuses leaves nothing locked', async () => {
  const path = ownPath()
  writeFileSync(path, 'not a database, but long enough to look like one'.repeat(100))
  makeLockFile(path)
  await faultsOf(`file:${path}`)
  writeFileSync(path, '')
  await openAt(path)
})

test('opening the embedded store again changes neither the schema nor its contents', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const event = newEvent()
  await first.append(event)
  await first.close()
  const schema = () => withDatabase(path, (db) => db.prepare('SELECT * FROM sqlite_schema').all())
  const before = schema()
  const second = await openAt(path)
  expect(await second.event(event.uid)).toMatchObject({ id: event.id })
  await second.close()
  expect(schema()).toEqual(before)
  expect(withDatabase(path, (db) => db.prepare('PRAGMA integrity_check').get())).toEqual({ integrity_check: 'ok' })
})

test('the embedded store refuses network file systems, and no local ones', () => {
  expect(refusedFileSystem(0x6969)).toBe('NFS')
  // As statfs gives it where f_type is a signed 32-bit number.
  expect(refusedFileSystem(0xff534d42 - 2 ** 32)).toBe('CIFS')
  expect(refusedFileSystem(0x65735546)).toBe('FUSE')
  expect([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630].map(refusedFileSystem)).toEqual(
    Array(5).fill(undefined),
  )
})

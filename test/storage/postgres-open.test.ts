import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ConfigurationError } from '../../src/domain/errors.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { SCHEMA_VERSION } from '../../src/storage/postgres/migrate.ts'
import { faultsOfServer, type ServerSettings } from '../../src/storage/postgres/server-settings.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'
import { newEvent } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'
import { ownDirectory } from './database-file.ts'

async function open(url: string): Promise<OpenStore> {
  const store = await openStore(url, { connectRetryMs: 0 })
  onTestFinished(() => store.close())
  return store
}

const faultsOf = (url: string): Promise<unknown> =>
  open(url).then(
    () => 'it opened',
    (error: unknown) => (error instanceof ConfigurationError ? error.faults : error),
  )

describe('replicas that start together', () => {
  test('all open, on a schema that one of them made', async () => {
    const url = ownSchema()
    const stores = await Promise.all(Array.from({ length: 5 }, () => open(url)))
    const receipts = await Promise.all(stores.map((store) => store.append(newEvent())))
    expect(receipts.map(({ outcome }) => outcome)).toEqual(Array(5).fill('accepted'))
    expect(await queryIn(url, 'SELECT version FROM schema_version')).toEqual([{ version: SCHEMA_VERSION }])
  })

  test('open beside a newer release that works with them', async () => {
    const url = ownSchema()
    await open(url)
    await queryIn(url, 'UPDATE schema_version SET version = 1000')
    const store = await open(url)
    expect(await store.append(newEvent())).toMatchObject({ outcome: 'accepted' })
    expect(await queryIn(url, 'SELECT version FROM schema_version')).toEqual([{ version: 1000 }])
  })

  test('are refused by a newer release that does not work with them', async () => {
    const url = ownSchema()
    await open(url)
    await queryIn(url, 'UPDATE schema_version SET version = 1000, oldest_compatible = 999')
    expect(await faultsOf(url)).toEqual([expect.stringContaining('run the newer Holdfast')])
  })
})

test('opening the PostgreSQL store again changes neither the schema nor its contents', async () => {
  const url = ownSchema()
  const first = await open(url)
  const event = newEvent()
  await first.append(event)
  const tables = () =>
    queryIn(
      url,
      'SELECT relname, relkind, relnatts FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY 1',
    )
  const before = await tables()
  const second = await open(url)
  expect(await second.event(event.uid)).toMatchObject({ id: event.id })
  expect(await tables()).toEqual(before)
})

test('the PostgreSQL store has partitions for a week ahead', async () => {
  const url = ownSchema()
  await open(url)
  const days = await queryIn<{ name: string }>(
    url,
    "SELECT relname::text AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname ~ '^event_body_[0-9]{8}$' ORDER BY 1",
  )
  const today = Date.now()
  const expected = Array.from({ length: 9 }, (_, at) => new Date(today + (at - 1) * 86_400_000))
  expect(days.map(({ name }) => name)).toEqual(
    expected.map((day) => `event_body_${day.toISOString().slice(0, 10).replaceAll('-', '')}`),
  )
})

test('the PostgreSQL store refuses a server that cannot be reached without showing the password', async () => {
  const faults = await faultsOf('postgres://holdfast:s3cret@127.0.0.1:9/holdfast')
  expect(faults).toEqual([expect.stringContaining('PostgreSQL cannot be reached')])
  expect(String(faults)).not.toContain('s3cret')
})

test('the PostgreSQL store waits for a server that comes up late', async () => {
  const late = await startPostgres()
  onTestFinished(() => late.remove())
  await late.stop()
  const opening = openStore(late.url)
  await late.start()
  const store = await opening
  expect(await store.append(newEvent())).toMatchObject({ outcome: 'accepted' })
  await store.close()
})

test('the PostgreSQL store names a password that is not encoded for a URL as the fault without showing it', async () => {
  for (const url of ['postgres://u:s3@cret@localhost/db', 'postgres://u:s3@cr/et@localhost/db']) {
    const faults = await faultsOf(url)
    expect(faults).toEqual([expect.stringContaining('more than one @')])
    expect(String(faults)).not.toMatch(/s3|cr/)
  }
})

test('the PostgreSQL store refuses a URL without a valid host, database or schema, and never shows it', async () => {
  expect(await faultsOf('postgres:///')).toHaveLength(2)
  const faults = await faultsOf('postgres://user:s3cret@localhost?schema=Drop;')
  expect(faults).toEqual([expect.stringContaining('no database'), expect.stringContaining('schema')])
  expect(String(faults)).not.toContain('s3cret')
})

describe('the settings of a PostgreSQL server', () => {
  const sound: ServerSettings = {
    version: 150_001,
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    encoding: 'UTF8',
    is_standby: false,
    now: 0,
  }
  test('are accepted where the server is durable', () => {
    expect(faultsOfServer(sound)).toEqual([])
    expect(faultsOfServer({ ...sound, synchronous_commit: 'remote_apply' })).toEqual([])
  })
  test.each([
    [{ version: 140_012 }, 'version 14.12'],
    [{ fsync: 'off' }, 'set fsync=on'],
    [{ full_page_writes: 'off' }, 'full_page_writes=off'],
    [{ synchronous_commit: 'off' }, 'synchronous_commit=off'],
    [{ encoding: 'LATIN1' }, 'encoding UTF8'],
    [{ is_standby: true }, 'must lead to the primary'],
  ])('with %j are refused, with what to do', (given, expected) => {
    expect(faultsOfServer({ ...sound, ...given })).toEqual([expect.stringContaining(expected)])
  })
})

describe('opening the store on a PostgreSQL server', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ settings: { fsync: 'off', full_page_writes: 'off' } })
  })
  afterAll(() => server.remove())

  /** The server's URL, changed. */
  function urlWith(change: (url: URL) => void): string {
    const url = new URL(server.url)
    change(url)
    return url.href
  }

  test('that is unsafe in two ways is refused, and both are named', async () => {
    expect(await faultsOf(server.url)).toEqual([
      expect.stringContaining('fsync=off'),
      expect.stringContaining('full_page_writes=off'),
    ])
  })

  test('that becomes unsafe later has the store refuse events and say why until the server is safe again', async () => {
    const set = async (fsync: string) => {
      await server.query(`ALTER SYSTEM SET fsync = ${fsync}`)
      await server.query('ALTER SYSTEM SET full_page_writes = on')
      await server.query('SELECT pg_reload_conf()')
      await expect.poll(async () => server.query('SHOW fsync'), { timeout: 5_000 }).toEqual([{ fsync }])
    }
    await set('on')
    const store = await open(server.url)
    expect(await store.append(newEvent())).toMatchObject({ outcome: 'accepted' })
    await set('off')
    await expect.poll(() => store.faults(), { timeout: 5_000 }).toEqual([expect.stringContaining('fsync=off')])
    await expect(store.append(newEvent())).rejects.toMatchObject({ code: 'unavailable' })
    await set('on')
    await expect.poll(() => store.faults(), { timeout: 5_000 }).toEqual([])
    expect(await store.append(newEvent())).toMatchObject({ outcome: 'accepted' })
  })

  test('with synchronous_commit=off for the role is refused, whatever the server’s own setting', async () => {
    await server.query('ALTER ROLE holdfast SET synchronous_commit = off')
    expect(await faultsOf(server.url)).toEqual([expect.stringContaining('synchronous_commit=off')])
    await server.query('ALTER ROLE holdfast RESET synchronous_commit')
  })

  test('with a wrong password is refused, and neither password is shown', async () => {
    const faults = await faultsOf(urlWith((url) => (url.password = 'not-the-one')))
    expect(faults).toEqual([expect.stringContaining('does not let this user in')])
    expect(String(faults)).not.toContain('not-the-one')
  })

  test('without the database of the URL is refused', async () => {
    expect(await faultsOf(urlWith((url) => (url.pathname = '/nowhere')))).toEqual([
      expect.stringContaining('create it'),
    ])
  })

  describe('as a role with few rights', () => {
    const asReader = (schema: string): string =>
      urlWith((url) => {
        url.username = 'reader'
        url.password = 'reader'
        url.searchParams.set('schema', schema)
      })
    beforeAll(async () => {
      await server.query("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    })

    test('is refused with the statement that an administrator has to run where the role may not create the schema', async () => {
      expect(await faultsOf(asReader('fresh'))).toEqual([
        expect.stringContaining('CREATE SCHEMA "fresh" AUTHORIZATION "reader"'),
      ])
    })

    test('is refused with the grant that is missing where the role may not create tables in the schema', async () => {
      await server.query('CREATE SCHEMA closed')
      expect(await faultsOf(asReader('closed'))).toEqual([
        expect.stringContaining('GRANT USAGE, CREATE ON SCHEMA "closed" TO "reader"'),
      ])
    })

    test('is refused where the role does not own the tables', async () => {
      await open(urlWith((url) => url.searchParams.set('schema', 'owned')))
      await server.query('GRANT ALL ON SCHEMA owned TO reader')
      expect(await faultsOf(asReader('owned'))).toEqual([expect.stringContaining('does not own the tables')])
    })

    test('may back up a store whose tables it may only read', async () => {
      await open(urlWith((url) => url.searchParams.set('schema', 'read')))
      await server.query('GRANT USAGE ON SCHEMA read TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA read TO reader')
      const request = { databaseUrl: asReader('read'), file: join(ownDirectory(), 'backup.db'), onProgress: () => {} }
      const control = { signal: new AbortController().signal, onLog: () => {} }
      expect(await backUp(request, control)).toMatchObject({ outcome: 'done' })
    })

    test('succeeds where an administrator made the schema for the role', async () => {
      await server.query('CREATE SCHEMA given AUTHORIZATION reader')
      const store = await open(asReader('given'))
      expect(await store.append(newEvent())).toMatchObject({ outcome: 'accepted' })
    })
  })

  test('is refused with a schema of another program', async () => {
    await server.query('CREATE SCHEMA theirs AUTHORIZATION holdfast')
    await server.query('CREATE TABLE theirs.a (b integer); ALTER TABLE theirs.a OWNER TO holdfast')
    expect(await faultsOf(urlWith((url) => url.searchParams.set('schema', 'theirs')))).toEqual([
      expect.stringContaining('of another program'),
    ])
  })
})

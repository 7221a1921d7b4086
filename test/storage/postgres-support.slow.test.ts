import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { queryAt } from '../support/postgres/query.ts'
import { type Relay, startRelay } from '../support/postgres/relay.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'
import { type ReplicatedPostgres, startWithStandby } from '../support/postgres/standby.ts'

const alive = (url: string): Promise<object[]> => queryAt(url, { sql: 'SELECT 1 AS one' })

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end().catch(() => {}))
  return client
}

test('each schema for a test is empty, and its tables belong to it alone', async () => {
  const [one, other] = [ownSchema(), ownSchema()]
  for (const url of [one, other]) {
    await queryIn(url, `CREATE SCHEMA ${new URL(url).searchParams.get('schema')}`)
    await queryIn(url, 'CREATE TABLE found (value int)')
  }
  await queryIn(one, 'INSERT INTO found VALUES ($1)', [1])
  expect(await queryIn(one, 'SELECT value FROM found')).toEqual([{ value: 1 }])
  expect(await queryIn(other, 'SELECT value FROM found')).toEqual([])
})

describe('a PostgreSQL server for a test', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ settings: { application_name: "o'clock" } })
  })
  afterAll(() => server.remove())

  test('is durable, and takes settings', async () => {
    const names = ['fsync', 'full_page_writes', 'synchronous_commit', 'application_name']
    const settings = names.map((name) => `current_setting('${name}') AS ${name}`)
    expect(await server.query(`SELECT ${settings.join()}`)).toEqual([
      { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', application_name: "o'clock" },
    ])
  })

  test('has a role that is not a superuser and owns its database', async () => {
    expect(
      await queryAt(server.url, {
        sql: `SELECT rolname, rolsuper, datname, pg_encoding_to_char(encoding) AS encoding
              FROM pg_roles JOIN pg_database ON datdba = pg_roles.oid
              WHERE rolname = current_user AND datname = current_database()`,
      }),
    ).toEqual([{ rolname: 'holdfast', rolsuper: false, datname: 'holdfast', encoding: 'UTF8' }])
  })

  test('comes back from SIGKILL with what was committed', async () => {
    const client = await connected(server.url)
    await client.query('CREATE TABLE kept AS SELECT 1 AS value')
    await client.query('BEGIN')
    await client.query('INSERT INTO kept VALUES (2)')
    const before = server.pid()
    await server.kill()
    expect(() => server.pid()).toThrow('it does not run')
    await expect(alive(server.url)).rejects.toThrow('ECONNREFUSED')
    await server.start()
    expect(server.pid()).not.toBe(before)
    expect(server.log()).toContain('automatic recovery in progress')
    expect(await queryAt(server.url, { sql: 'SELECT value FROM kept' })).toEqual([{ value: 1 }])
  })

  test('stops and starts in the same directory', async () => {
    await server.stop()
    expect(server.log()).toContain('database system is shut down')
    await server.start()
    expect(await alive(server.url)).toEqual([{ one: 1 }])
  })

  describe('behind a relay', () => {
    let relay: Relay
    let url: string
    beforeAll(async () => {
      relay = await startRelay(server.port)
      url = server.url.replace(`:${server.port}/`, `:${relay.port}/`)
    })
    afterAll(() => relay.close())

    test('is reached through the relay', async () => {
      const long = 'x'.repeat(5_000_000)
      expect(await queryAt(url, { sql: 'SELECT $1 AS long', params: [long] })).toEqual([{ long }])
    })

    test('loses its connections and gets no new ones while the relay is cut', async () => {
      const client = await connected(url)
      const sleep = client.query('SELECT pg_sleep(60)')
      const broken = expect(sleep).rejects.toThrow('ECONNRESET')
      await relay.cut()
      await broken
      await expect(alive(url)).rejects.toThrow('ECONNREFUSED')
      await relay.resume()
      expect(await alive(url)).toEqual([{ one: 1 }])
    })

    test('gets nothing while the relay hangs, and everything afterwards', async () => {
      const client = await connected(url)
      relay.hang()
      const answers: string[] = []
      const held = client.query('SELECT 1').then(() => answers.push('of an old connection'))
      const made = alive(url).then(() => answers.push('of a new connection'))
      expect(await alive(server.url)).toEqual([{ one: 1 }])
      expect(answers).toEqual([])
      await relay.resume()
      await Promise.all([held, made])
      expect(answers.sort()).toEqual(['of a new connection', 'of an old connection'])
    })

    test('is reached again after the relay pointed elsewhere', async () => {
      relay.pointTo(1)
      await expect(alive(url)).rejects.toThrow()
      relay.pointTo(server.port)
      expect(await alive(url)).toEqual([{ one: 1 }])
    })
  })
})

describe('a PostgreSQL primary with a standby', () => {
  let pair: ReplicatedPostgres
  beforeAll(async () => {
    pair = await startWithStandby()
    await queryAt(pair.primary.url, { sql: 'CREATE TABLE kept (value text)' })
  })
  afterAll(() => pair.remove())

  const kept = (server: PostgresServer): Promise<object[]> => queryAt(server.url, { sql: 'SELECT value FROM kept' })

  test('has what it committed at the standby', async () => {
    await queryAt(pair.primary.url, { sql: "INSERT INTO kept VALUES ('before')" })
    const [row] = await pair.primary.query<{ at: string }>('SELECT pg_current_wal_flush_lsn() AS at')
    await eventually(
      () => pair.standby.query<{ done: boolean }>('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done', [row?.at]),
      ([replayed]) => replayed?.done === true,
    )
    expect(await kept(pair.standby)).toEqual([{ value: 'before' }])
    await expect(queryAt(pair.standby.url, { sql: 'DELETE FROM kept' })).rejects.toThrow('read-only')
  })

  test('answers a commit whose wait for the standby is cancelled as a success with a warning', async () => {
    await pair.standby.kill()
    const client = await connected(pair.primary.url)
    const notices: (string | undefined)[] = []
    client.on('notice', ({ code }) => notices.push(code))
    const insertion = client.query("INSERT INTO kept VALUES ('at the primary alone')")
    await eventually(
      () => pair.cancelWaits(),
      (cancelled) => cancelled > 0,
    )
    expect(await insertion).toMatchObject({ command: 'INSERT', rowCount: 1 })
    expect(notices).toEqual(['01000'])
    await client.end()
  })

  test('loses nothing committed when its standby is promoted, which commits alone', async () => {
    await pair.primary.kill()
    await pair.standby.start()
    await pair.promote()
    expect(await kept(pair.standby)).toEqual([{ value: 'before' }])
    await queryAt(pair.standby.url, { sql: "INSERT INTO kept VALUES ('after')" })
    expect(await kept(pair.standby)).toEqual([{ value: 'before' }, { value: 'after' }])
  })
})

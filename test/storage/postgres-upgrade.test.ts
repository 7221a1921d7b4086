import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { MIGRATIONS } from '../../src/storage/postgres/migrate.ts'
import { claimOne, claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { taskBy, trackLeased } from '../contract/task-samples.ts'
import { eventually } from '../support/eventually.ts'
import { dayOf } from '../support/postgres/old-day.ts'
import { databaseUrl, ownSchema, queryIn } from '../support/postgres/schema.ts'

/** A connection as a replica of an earlier release holds it, on a schema as that release made it. */
async function olderReplica(url: string, version = 1): Promise<Client> {
  const target = new URL(url)
  const schema = target.searchParams.get('schema')
  target.searchParams.delete('schema')
  const client = new Client({ connectionString: target.href })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(`CREATE SCHEMA ${schema}; SET search_path TO ${schema}`)
  for (const file of MIGRATIONS.slice(0, version).flat())
    await client.query(readFileSync(new URL(`../../src/storage/postgres/migrations/${file}`, import.meta.url), 'utf8'))
  await client.query('CREATE TABLE schema_version (version integer NOT NULL, oldest_compatible integer NOT NULL)')
  await client.query(`INSERT INTO schema_version VALUES (${version}, 1)`)
  const day = dayOf(Date.now())
  await client.query(
    `CREATE TABLE event_body_${day.replaceAll('-', '')} PARTITION OF event_body FOR VALUES IN ('${day}')`,
  )
  return client
}

const APPEND = { name: 'append', text: 'SELECT * FROM append_1($1, $2, $3, $4, $5, $6)' }
const CLAIM = { name: 'claim', text: 'SELECT * FROM claim_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)' }
const ATTEMPTS = {
  name: 'attempts-of',
  text: 'SELECT * FROM attempt WHERE delivery BETWEEN $1 AND $2 ORDER BY delivery, ordinal',
}

const rowOf = (handler: string, body: Buffer) => ({
  n: 1,
  uid: newUid(),
  source: 'stripe',
  provider: 'stripe',
  id: newUid(),
  type: 'a.b',
  created_at: 'never',
  received_at: Date.now(),
  origin: 'webhook',
  status: 'accepted',
  headers: '{}',
  size: body.length,
  checksum: hash('sha256', body),
  handlers: [handler],
})

function operationsOf(client: Client) {
  return {
    async append(handler: string): Promise<void> {
      const body = Buffer.from('{}')
      const row = rowOf(handler, body)
      await client.query({ ...APPEND, values: [null, Date.now(), 1, false, JSON.stringify([row]), body] })
    },
    async claim(handler: string, lease: string): Promise<readonly unknown[]> {
      const handlers = JSON.stringify([{ name: handler, limit: 10 }])
      const values = [null, null, null, [], handlers, 10, 10, lease, 60_000, 5, 'lost', 'exhausted', 'corrupt']
      const { rows } = await client.query({ ...CLAIM, values })
      return rows.filter((row: { delivery: unknown }) => row.delivery !== null)
    },
    attempts: async () => (await client.query({ ...ATTEMPTS, values: [0, 1e12] })).rows.length,
  }
}

async function open(url: string): Promise<OpenStore> {
  const store = await openStore(url)
  onTestFinished(() => store.close())
  return store
}

test('a replica of the previous release goes on beside a newer one: neither takes what the other leases', async () => {
  const url = ownSchema()
  const client = await olderReplica(url)
  const older = operationsOf(client)
  await older.append('a')
  expect(await older.claim('a', 'old-1')).toHaveLength(1)
  expect(await older.attempts()).toBe(0)
  const store = await open(url)
  await older.append('a')
  expect(await older.claim('a', 'old-2')).toHaveLength(1)
  expect(await older.attempts()).toBe(0)
  expect((await store.claim(claimRequest())).work).toEqual([])
  await store.append(newEvent({ receivedAtMs: Date.now() }))
  const work = await claimOne(store, { leaseMs: 60_000 })
  expect(await older.claim('a', 'old-3')).toEqual([])
  const detail = { name: 'Error', message: 'no' }
  const failed = settlement(work, { verdict: 'retry', outcome: 'failed', error: 'no', detail, dueAtMs: Date.now() })
  expect(await store.settle([failed])).toEqual([true])
  expect(await older.attempts()).toBe(1)
  expect(await older.claim('a', 'old-4')).toHaveLength(1)
})

test('a start that has to change tables waits for a transaction that uses them, and other transactions go on meanwhile', async () => {
  const url = ownSchema()
  const client = await olderReplica(url)
  const older = operationsOf(client)
  const reader = new Client({ connectionString: databaseUrl })
  await reader.connect()
  onTestFinished(() => reader.end())
  const schema = new URL(url).searchParams.get('schema')
  await reader.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM ${schema}.tally, ${schema}.event`)
  const opening = open(url)
  await eventually(
    () =>
      queryIn(
        url,
        "SELECT FROM pg_stat_activity WHERE application_name = 'holdfast start' AND wait_event = 'relation'",
      ),
    ({ length }) => length > 0,
  )
  for (let n = 0; n < 3; n++) await older.append('a')
  await reader.query('COMMIT')
  const store = await opening
  expect((await store.counts()).deliveries.pending).toBe(3)
  expect((await store.claim(claimRequest())).work).toHaveLength(3)
})

test.each([
  [5, 'append_4', 'append_indexed_1'],
  [6, 'append_6', 'append_indexed_2'],
])(
  'a replica of schema version %i goes on with its own appends after a newer one has changed the schema',
  async (version, appends, appendsIndexed) => {
    const url = ownSchema()
    const client = await olderReplica(url, version)
    const body = Buffer.from('{"customer":"c1"}')
    const append = async () => {
      const row = { ...rowOf('a', body), created_at_source: 'received' }
      const values = [null, Date.now(), 1, false, null, JSON.stringify([row]), body]
      await client.query({ name: 'append', text: `SELECT * FROM ${appends}($1, $2, $3, $4, $5, $6, $7)`, values })
      return row.uid
    }
    const appendIndexed = async () => {
      const row = { ...rowOf('a', body), created_at_source: 'received' }
      const indexed = [{ uid: row.uid, source: 'stripe', path: 'customer', value: 'c1' }]
      const values = [null, Date.now(), 1, false, null, JSON.stringify([row]), body, JSON.stringify(indexed)]
      const text = `SELECT * FROM ${appendsIndexed}($1, $2, $3, $4, $5, $6, $7, $8)`
      await client.query({ name: 'append-indexed', text, values })
      return row.uid
    }
    const uids = [await append(), await appendIndexed()]
    const store = await open(url)
    await client.query("INSERT INTO payload_path (source, path, complete_from) VALUES ('stripe', 'customer', 0)")
    uids.push(await append(), await appendIndexed())
    for (const uid of uids) {
      const event = await store.event(uid)
      expect(event).toMatchObject({ uid, status: 'accepted', deliveries: [{ handler: 'a', state: 'pending' }] })
      expect(event).not.toHaveProperty('receivedFrom')
      expect(Buffer.from(await store.body(uid))).toEqual(body)
    }
    expect(await queryIn(url, 'SELECT value FROM payload_value')).toEqual([{ value: 'c1' }])
    const known = newEvent({ body, receivedAtMs: Date.now() })
    const resend = { ...rowOf('a', body), id: known.id, created_at_source: 'received' }
    const values = [null, Date.now(), 1, false, null, JSON.stringify([resend]), body]
    await store.append(known)
    const answer = await client.query({ text: `SELECT * FROM ${appends}($1, $2, $3, $4, $5, $6, $7)`, values })
    expect(answer.rows).toMatchObject([{ outcome: 'duplicate', uid: known.uid }])
    expect(await store.event(known.uid)).not.toHaveProperty('repeats')
    expect(await store.append({ ...known, uid: newUid() })).toMatchObject({ outcome: 'duplicate' })
    expect(await store.event(known.uid)).toMatchObject({ repeats: { times: 1 } })
    uids.push(known.uid)
    expect((await store.claim(claimRequest())).work.map(({ event }) => event.uid)).toEqual(uids)
  },
)

test.each([5, 6])(
  'a replica of schema version %i postpones and deletes tasks beside a newer one, and leaves no questions behind',
  async (version) => {
    const url = ownSchema()
    const client = await olderReplica(url, version)
    const store = await open(url)
    const { uid, lease } = await trackLeased(store)
    const asked = { kind: 'poll', by: 'poller', atMs: Date.now(), durationMs: 5 } as const
    await store.postpone([{ uid, lease, dueAtMs: Date.now(), outcome: { error: 'down', asked } }])
    await client.query('UPDATE task SET polls = polls + 1 WHERE uid = $1', [uid])
    expect((await taskBy(store, uid)).polls).toBe(2)
    expect(await store.questions(uid)).toMatchObject([{ error: 'down', durationMs: 5 }])
    await client.query('DELETE FROM task WHERE uid = $1', [uid])
    expect(await queryIn(url, 'SELECT key FROM task_question')).toEqual([])
  },
)

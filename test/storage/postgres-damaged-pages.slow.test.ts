import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { Connections } from '../../src/storage/postgres/connections.ts'
import { Damage } from '../../src/storage/postgres/damage.ts'
import { postgresTarget } from '../../src/storage/shared/database-url.ts'
import { claimRequest, codeOf, newEvent, settlement } from '../contract/store-samples.ts'
import { pageNamed } from '../docs/pages.ts'
import { eventually } from '../support/eventually.ts'
import { damageFirstLeaf } from '../support/postgres/damage.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

/** Each in a schema of its own, which are all damaged while the server is stopped once. */
const INDEXES = [
  'delivery_pkey',
  'delivery_pending',
  'delivery_running',
  'event_pkey',
  'event_key_pkey',
  'attempt_pkey',
  'event_body_pkey',
]
const TABLES = ['event', 'delivery', 'attempt', 'lost', 'judged']
/** What is damaged in a schema that is not called after it. */
const DAMAGED: Readonly<Record<string, readonly string[]>> = {
  lost: ['attempt'],
  judged: ['attempt'],
  hopeless: ['delivery', 'delivery_pending'],
  slow: ['delivery_pending'],
  repaired: ['delivery'],
}
/** PostgreSQL takes a page of zeros for one of an index that was never written, and says so otherwise than of a wrong checksum. */
const ZEROED = 'event_key_pkey'
const SCHEMAS = [...INDEXES, ...TABLES, 'hopeless', 'repaired', 'slow']
const EVENTS = 400
let server: PostgresServer
const eventsOf = new Map<string, readonly NewEvent[]>()

beforeAll(async () => {
  server = await startPostgres()
  for (const schema of SCHEMAS) await fill(schema)
  const places = await Promise.all(SCHEMAS.flatMap((schema) => (DAMAGED[schema] ?? [schema]).map(pathIn(schema))))
  await server.stop()
  for (const { path, relation } of places) damageFirstLeaf(path, relation === ZEROED)
  await server.start()
}, 120_000)
afterAll(() => server.remove())

const open = (schema: string, log: string[] = []): Promise<OpenStore> =>
  openStore(`${server.url}?schema=${schema}`, { onLog: (_, message) => log.push(message) })

/** Events that are due for a second attempt of handler `a`, so that all have a history. */
async function fill(schema: string): Promise<void> {
  const store = await open(schema)
  const events = Array.from({ length: EVENTS }, () => newEvent({ receivedAtMs: Date.now() }))
  await Promise.all(events.map((event) => store.append(event)))
  eventsOf.set(schema, events)
  const all = { sharedLimit: EVENTS, handlers: [{ name: 'a', limit: EVENTS }] }
  const { work } = await store.claim(claimRequest(all))
  const retry = { verdict: 'retry', outcome: 'failed', error: 'x'.repeat(100), dueAtMs: Date.now() } as const
  const judged = { verdict: 'dead', outcome: 'rejected', quarantine: ['no'], judgement: 'by a schema' } as const
  await store.settle(work.map((each) => settlement(each, schema === 'judged' ? judged : retry)))
  await store.close()
  if (schema === 'lost') await server.query(LEASED)
  if (schema === 'slow') await server.query(SLOW)
}

/** To a process that is gone, and for no longer. */
const LEASED = `
  SET search_path TO lost;
  UPDATE delivery SET state = 'running', lease = 'gone:1', lease_until = due_at, started_at = due_at;
  INSERT INTO tally VALUES ('pending', -${EVENTS}), ('running', ${EVENTS})
`

/** An index that takes long to be made, once `SLEEP` was run. */
const SLOW = `
  CREATE FUNCTION slow.part(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql RETURN $1;
  DROP INDEX slow.delivery_pending;
  CREATE INDEX delivery_pending ON slow.delivery (handler, isolated, due_at, key, slow.part(key)) WHERE state = 'pending'
`
const SLEEP = `
  CREATE OR REPLACE FUNCTION slow.part(p bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql
  AS 'BEGIN PERFORM pg_sleep(0.2); RETURN p; END'
`

const pathIn = (schema: string) => async (relation: string) => {
  const name = relation.replace('event_body', `event_body_${new Date().toISOString().slice(0, 10).replaceAll('-', '')}`)
  const [row] = await server.query<{ path: string }>('SELECT pg_relation_filepath($1::regclass) AS path', [
    `${schema}.${name}`,
  ])
  return { relation, path: join(server.dataDirectory, row?.path ?? '') }
}

async function opened(schema: string) {
  const log: string[] = []
  const store = await open(schema, log)
  onTestFinished(() => store.close())
  return { store, log, events: eventsOf.get(schema) ?? [] }
}

/** Claims and settles until nothing more is given; gives the uids of what ran. */
async function drain(store: OpenStore): Promise<readonly string[]> {
  const ran: string[] = []
  for (;;) {
    const { work } = await store.claim(claimRequest())
    if (work.length === 0) return ran
    ran.push(...work.map(({ event }) => event.uid))
    const took = await store.settle(work.map((each) => settlement(each)))
    expect(took).not.toContain(false)
  }
}

/** What a store may try anew only after a while. */
async function drainUntil(store: OpenStore, count: number): Promise<void> {
  let ran = 0
  await eventually(
    async () => {
      ran += (await drain(store)).length
      return ran
    },
    (each) => each === count,
  )
}

const uidsOf = (events: readonly NewEvent[]): readonly string[] => events.map(({ uid }) => uid).toSorted()
const again = (event: NewEvent): NewEvent => ({
  ...newEvent({ receivedAtMs: Date.now() }),
  id: event.id,
  body: event.body,
})

test.each(INDEXES)(
  'the store rebuilds the index %s as soon as it meets a damaged page of it, and nothing is lost',
  async (index) => {
    const { store, log, events } = await opened(index)
    const receipts = await Promise.all(events.map((event) => store.append(again(event))))
    expect(receipts).toEqual(events.map(({ uid }) => expect.objectContaining({ outcome: 'duplicate', uid })))
    expect((await drain(store)).toSorted()).toEqual(uidsOf(events))
    const [uid] = uidsOf(events)
    expect((await store.event(uid ?? ''))?.deliveries[0]?.history).toHaveLength(2)
    expect(store.warnings()).toEqual([
      expect.stringMatching(/^the index \S+ was damaged, and was rebuilt from its table/),
    ])
    expect(log).toContain(store.warnings()[0])
    expect(store.faults()).toEqual([])
  },
)

test('a damaged page of events costs only its own deliveries, which are dead with the reason', async () => {
  const { store, events } = await opened('event')
  const ran = await drain(store)
  const { dead } = (await store.counts()).deliveries
  expect(dead).toBeGreaterThan(0)
  expect(ran).toHaveLength(EVENTS - dead)
  // A resend of one of those is refused, and the others of its batch are not.
  const outcomes = await Promise.all(
    events.map((event) =>
      store.append(again(event)).then(
        ({ outcome }) => outcome,
        () => 'refused',
      ),
    ),
  )
  expect(outcomes.filter((outcome) => outcome === 'refused')).toHaveLength(dead)
  expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(EVENTS - dead)
  expect(store.warnings()).toEqual([
    expect.stringMatching(/^PostgreSQL cannot read block 1 of the table event\.event: .*restore a backup/),
  ])
})

test('a damaged page of the history costs only that history, and everything runs', async () => {
  const { store, events } = await opened('attempt')
  expect((await drain(store)).toSorted()).toEqual(uidsOf(events))
  expect((await store.counts()).deliveries).toMatchObject({ succeeded: EVENTS, pending: 0, running: 0 })
})

test('events whose judgement is on a damaged page are judged again, and the others that come again are duplicates', async () => {
  const { store, events } = await opened('judged')
  const outcomes = await Promise.all(
    events.map(async (event) => (await store.append({ ...again(event), unjudged: ['by a schema'] })).outcome),
  )
  expect(new Set(outcomes)).toEqual(new Set(['duplicate', 'accepted']))
})

test('a delivery that lost its lease runs again though its history cannot be written', async () => {
  const { store } = await opened('lost')
  await drainUntil(store, EVENTS)
  expect((await store.counts()).deliveries).toMatchObject({ succeeded: EVENTS, pending: 0, running: 0 })
})

test('when a page of deliveries is damaged, the store handles new events and names the page, and lost deliveries can be replayed', async () => {
  const { store, log } = await opened('delivery')
  expect(await store.claim(claimRequest())).toMatchObject({ work: [], nextDueAtMs: expect.any(Number) })
  expect(log).toContainEqual(expect.stringMatching(/^deliveries cannot be claimed/))
  const fresh = newEvent({ receivedAtMs: Date.now(), lease: { handlers: ['a'], leaseMs: 30_000 } })
  const { leased = [] } = await store.append(fresh)
  expect(leased).toHaveLength(1)
  expect(await store.settle(leased.map((each) => settlement(each)))).toEqual([true])
  expect((await store.counts()).deliveries.pending).toBe(EVENTS)
  expect(store.warnings()).toEqual([
    expect.stringMatching(/^PostgreSQL cannot read block 1 of the table delivery\.delivery: /),
  ])

  // As docs/postgresql-and-replicas.md tells the operator.
  await server.query('ALTER ROLE postgres SET zero_damaged_pages = on')
  await server.query('VACUUM FULL delivery.delivery')
  await server.query('ALTER ROLE postgres RESET zero_damaged_pages')
  const lost = await server.query<{ uid: string }>(WITHOUT_DELIVERY)
  expect(lost.length).toBeGreaterThan(0)
  await drainUntil(store, EVENTS - lost.length)
  for (const { uid } of lost) await store.replay({ eventUid: uid, handlers: ['a'], status: 'accepted', reasons: [] })
  expect((await drain(store)).toSorted()).toEqual(lost.map(({ uid }) => uid).toSorted())
  expect(log).toContain('deliveries are claimed again')
})

/** The document's own statement, in the schema of this test. */
const WITHOUT_DELIVERY = (
  pageNamed('docs/postgresql-and-replicas.md').blocks.find(({ text }) => text.startsWith('SELECT uid'))?.text ?? ''
).replaceAll('holdfast.', 'delivery.')

test('the store does not rebuild an index whose table is damaged too, and says how an operator does it', async () => {
  const { store } = await opened('hopeless')
  expect((await store.claim(claimRequest())).work).toEqual([])
  expect(await codeOf(store.append(newEvent({ receivedAtMs: Date.now() })))).toBe('it resolved')
  // The claim does not wait for the warning where it met the table first.
  await expect
    .poll(() => store.warnings())
    .toContainEqual(
      'PostgreSQL cannot read block 1 of the index hopeless.delivery_pending: run REINDEX INDEX CONCURRENTLY hopeless.delivery_pending',
    )
})

test('the store reports damage until it is repaired', async () => {
  const connections = new Connections(postgresTarget(`${server.url}?schema=repaired`))
  onTestFinished(() => connections.close())
  const damage = new Damage(connections, () => {})
  const met = await connections.run('read', 'SELECT sum(attempts) FROM delivery').catch((error: unknown) => error)
  expect(await damage.found(met)).toBe('rows')
  await damage.lookAgain()
  expect(damage.warnings()).toEqual([
    expect.stringMatching(/^PostgreSQL cannot read block 1 of the table repaired\.delivery/),
  ])
  await server.query('TRUNCATE repaired.delivery')
  await damage.lookAgain()
  expect(damage.warnings()).toEqual([])
})

test('a store that is closed stops the rebuild of an index', async () => {
  const { store, log } = await opened('slow')
  await server.query(SLEEP)
  const claiming = codeOf(store.claim(claimRequest()))
  await eventually(
    () => server.query("SELECT FROM pg_stat_activity WHERE query LIKE 'REINDEX INDEX slow.%' AND state = 'active'"),
    (making) => making.length === 1,
  )
  await store.close()
  await claiming
  expect(log).toContainEqual(
    expect.stringMatching(/^the index slow\.delivery_pending could not be rebuilt: .*user request/),
  )
})

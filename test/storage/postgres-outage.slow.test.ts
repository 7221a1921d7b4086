import { Client } from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, codeOf, newEvent } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { startRelay } from '../support/postgres/relay.ts'
import { queryIn } from '../support/postgres/schema.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

/** A replica takes events again so long after its database is back. */
const RECOVERY_MS = 10_000
/** What the server and the client wait for one statement, at most. */
const STATEMENT_MS = 7_000

let server: PostgresServer
let schemas = 0
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.remove())

const event = (given: Partial<NewEvent> = {}): NewEvent => newEvent({ receivedAtMs: Date.now(), ...given })

async function open(port = server.port): Promise<{ store: OpenStore; url: string; direct: string }> {
  const direct = new URL(server.url)
  direct.searchParams.set('schema', `outage_${++schemas}`)
  const url = new URL(direct)
  url.port = String(port)
  const store = await openStore(url.href)
  onTestFinished(() => store.close())
  return { store, url: url.href, direct: direct.href }
}

async function openBehindRelay() {
  const relay = await startRelay(server.port)
  const opened = await open(relay.port)
  onTestFinished(() => relay.close())
  return { ...opened, relay }
}

/** The milliseconds until a promise has settled, and what it came to. */
async function timed<Value>(promise: Promise<Value>): Promise<{ value: Value; ms: number }> {
  const startedAt = performance.now()
  const value = await promise
  return { value, ms: performance.now() - startedAt }
}

const faultsOf = (store: OpenStore) => async () => store.faults()

/** No caller uses the store meanwhile: it finds out by itself. */
async function expectRecovery(store: OpenStore): Promise<void> {
  await eventually(faultsOf(store), (faults) => faults.length === 0, RECOVERY_MS)
  expect(await store.append(event())).toMatchObject({ outcome: 'accepted' })
}

test('while the database cannot be reached, the store refuses appends at once with the reason, and takes them once it is back', async () => {
  const { store, relay } = await openBehindRelay()
  await store.append(event())
  await relay.cut()
  const { value, ms } = await timed(codeOf(store.append(event())))
  expect(value).toBe('unavailable')
  expect(ms).toBeLessThan(5_000)
  const faults = await eventually(faultsOf(store), ({ length }) => length > 0)
  expect(faults).toEqual([expect.stringContaining('the database cannot be written: ')])
  await relay.resume()
  await expectRecovery(store)
})

test.each([
  ['is gone', 'ALTER TABLE event RENAME TO away', 'ALTER TABLE away RENAME TO event'],
  ['may not be written', 'REVOKE INSERT ON event FROM CURRENT_USER', 'GRANT INSERT ON event TO CURRENT_USER'],
])(
  'the store reports without traffic that its table of events %s, until the table is back',
  async (_, take, giveBack) => {
    const { store, direct } = await open()
    await store.append(event())
    await queryIn(direct, take)
    const faults = await eventually(faultsOf(store), ({ length }) => length > 0)
    expect(faults).toEqual([expect.stringContaining('event is missing')])
    expect(await codeOf(store.append(event()))).toBe('unavailable')
    await queryIn(direct, giveBack)
    await expectRecovery(store)
  },
)

test('when the network swallows everything, the store refuses an append within the time of a statement, and takes the same event afterwards', async () => {
  const { store, relay } = await openBehindRelay()
  await store.append(event())
  relay.hang()
  const [mine, other] = [event(), event()]
  const { value, ms } = await timed(Promise.all([codeOf(store.append(mine)), codeOf(store.append(other))]))
  expect(value).toEqual(['unavailable', 'unavailable'])
  expect(ms).toBeLessThan(2 * STATEMENT_MS)
  await eventually(faultsOf(store), ({ length }) => length > 0, STATEMENT_MS)
  // From here on nothing is tried in vain.
  const again = await timed(Promise.all([codeOf(store.append(event())), codeOf(store.claim(claimRequest()))]))
  expect(again.value).toEqual(['unavailable', 'unavailable'])
  expect(again.ms).toBeLessThan(2_000)
  await relay.resume()
  await expectRecovery(store)
  // What was held back may have arrived.
  expect(await store.append(mine)).toMatchObject({
    outcome: expect.stringMatching(/accepted|duplicate/),
    uid: mine.uid,
  })
})

test.each(['kill', 'stop'] as const)(
  'when the server dies (%s) under load, the store refuses each call, loses no event, and goes on once the server is back',
  async (end) => {
    const { store, direct } = await open()
    await store.append(event())
    const acknowledged: NewEvent[] = []
    let going = true
    const outcomes = new Set<unknown>()
    const senders = Array.from({ length: 8 }, async () => {
      while (going) {
        const next = event()
        try {
          await store.append(next)
          acknowledged.push(next)
        } catch (error) {
          outcomes.add((error as { code?: unknown }).code)
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        outcomes.add(await codeOf(store.claim(claimRequest({ sharedLimit: 4 }))))
        outcomes.add(await codeOf(store.events({}, { limit: 10 })))
      }
    })
    await eventually(
      async () => acknowledged.length,
      (count) => count > 50,
    )
    await server[end]()
    await eventually(faultsOf(store), ({ length }) => length > 0)
    const before = acknowledged.length
    await server.start()
    await eventually(faultsOf(store), (faults) => faults.length === 0, RECOVERY_MS)
    await eventually(
      async () => acknowledged.length,
      (count) => count > before + 50,
    )
    going = false
    await Promise.all(senders)
    expect(outcomes).toEqual(new Set(['it resolved', 'unavailable']))
    const kept = new Set((await queryIn<{ uid: string }>(direct, 'SELECT uid FROM event')).map(({ uid }) => uid))
    expect(acknowledged.filter(({ uid }) => !kept.has(uid))).toEqual([])
  },
)

const TERMINATE = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast append'`

/** Locks the key of an event, so that a transaction that stores this event waits. */
async function holdKey(direct: string, { source, id }: NewEvent): Promise<Client> {
  const target = new URL(direct)
  const schema = target.searchParams.get('schema')
  target.searchParams.delete('schema')
  const client = new Client({ connectionString: target.href })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(`SET search_path TO ${schema}; BEGIN`)
  await client.query("INSERT INTO event_key VALUES ($1, $2, '', 0)", [source, id])
  return client
}

test('the store refuses an append whose connection is ended in the middle, does not keep it, and takes the next one at once', async () => {
  const { store, direct } = await open()
  const mine = event()
  const holder = await holdKey(direct, mine)
  const appending = codeOf(store.append(mine))
  await eventually(
    () => server.query(`${TERMINATE} AND wait_event_type = 'Lock'`),
    ({ length }) => length > 0,
  )
  expect(await appending).toBe('unavailable')
  expect(store.faults()).toEqual([])
  expect(await store.append(event())).toMatchObject({ outcome: 'accepted' })
  await holder.query('ROLLBACK')
  expect(await store.event(mine.uid)).toBeUndefined()
  expect(await store.append(mine)).toEqual({ outcome: 'accepted', uid: mine.uid })
})

test('while its connections are ended again and again, the store keeps what it acknowledged, and refused events can be sent again', async () => {
  const { store, direct } = await open()
  const refused: NewEvent[] = []
  const acknowledged: NewEvent[] = []
  let going = true
  const ending = (async () => {
    while (going) {
      const enough = acknowledged.length + 10
      await eventually(
        async () => acknowledged.length,
        (count) => count >= enough || !going,
      )
      await server.query(TERMINATE)
    }
  })()
  const sender = async (): Promise<void> => {
    while (acknowledged.length < 200 || refused.length < 50) {
      const next = event()
      const code = await codeOf(store.append(next))
      if (code === 'it resolved') acknowledged.push(next)
      else refused.push(next)
    }
  }
  await Promise.all(Array.from({ length: 16 }, sender))
  going = false
  await ending
  await eventually(faultsOf(store), (faults) => faults.length === 0, RECOVERY_MS)
  const kept = new Set((await queryIn<{ uid: string }>(direct, 'SELECT uid FROM event')).map(({ uid }) => uid))
  expect(acknowledged.filter(({ uid }) => !kept.has(uid))).toEqual([])
  for (const each of refused) expect((await store.append(each)).uid).toBe(each.uid)
})

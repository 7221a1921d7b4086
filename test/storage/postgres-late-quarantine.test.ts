import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { Settlement, Work } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

const now = () => ({ receivedAtMs: Date.now() })
const corrected = (event: NewEvent): NewEvent => ({ ...event, uid: newUid(), body: Buffer.from('corrected') })
const refused = (work: Work): Settlement =>
  settlement(work, {
    verdict: 'dead',
    outcome: 'rejected',
    quarantine: ['no'],
    routes: { source: 'stripe', accepts: ['*'], handlers: [{ name: 'a', types: ['*'] }] },
  })

/** Another transaction, which keeps its locks until it is released. */
async function blockedBy(
  url: string,
  sql: string,
): Promise<{ readonly pid: number; readonly release: () => Promise<unknown> }> {
  const client = new Client({
    connectionString: url,
    options: `-c search_path=${new URL(url).searchParams.get('schema')}`,
  })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('BEGIN')
  await client.query(sql)
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return { pid: rows[0]?.pid ?? 0, release: () => client.query('COMMIT') }
}

const WAITING = 'SELECT pid FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))'
const waitingFor = (url: string, pid: number) =>
  eventually(
    () => queryIn<{ pid: number }>(url, WAITING, [pid]),
    ({ length }) => length > 0,
  )

test('an event that is appended while the event before it gives up its id takes the id', async () => {
  const url = ownSchema()
  const [one, other] = [await openReplica(url), await openReplica(url)]
  const bad = newEvent(now())
  await one.append(bad)
  const work = await claimOne(one)
  // It has seen that the id is taken, and is not committed yet.
  const blocker = await blockedBy(url, 'LOCK TABLE event_body IN SHARE MODE')
  const good = corrected(bad)
  const appending = other.append(good)
  await waitingFor(url, blocker.pid)
  expect(await one.settle([refused(work)])).toEqual([true])
  await blocker.release()
  expect(await appending).toMatchObject({ outcome: 'accepted', uid: good.uid })
  expect((await claimOne(one)).event.uid).toBe(good.uid)
  expect(await other.append({ ...good, uid: newUid() })).toMatchObject({ outcome: 'duplicate', uid: good.uid })
})

test('an event that is sent again while it gives up its id is a duplicate, also if another one takes the id', async () => {
  const url = ownSchema()
  const [one, other] = [await openReplica(url), await openReplica(url)]
  const bad = newEvent({ ...now(), unjudged: ['a schema'] })
  await one.append(bad)
  const work = await claimOne(one)
  const good = corrected(bad)
  expect(await one.append(good)).toMatchObject({ outcome: 'conflict' })
  // The id is given up, and that is not committed yet.
  const blocker = await blockedBy(url, `SELECT FROM event WHERE uid = '${good.uid}' FOR UPDATE`)
  const settling = one.settle([{ ...refused(work), judgement: 'a schema' }])
  await waitingFor(url, blocker.pid)
  const [settler] = await queryIn<{ pid: number }>(url, WAITING, [blocker.pid])
  const appending = other.append({ ...bad, uid: newUid() })
  await waitingFor(url, settler?.pid ?? 0)
  await blocker.release()
  expect(await settling).toEqual([true])
  expect(await appending).toMatchObject({ outcome: 'duplicate', uid: bad.uid })
  expect(await one.event(bad.uid)).toMatchObject({ status: 'quarantined', repeats: { times: 1 } })
  expect((await claimOne(one)).event.uid).toBe(good.uid)
  expect(await queryIn(url, 'SELECT FROM event_key')).toHaveLength(2)
})

test('each of many events that one replica corrects while another one quarantines them runs once', async () => {
  const url = ownSchema()
  const [one, other] = [await openReplica(url), await openReplica(url)]
  const bad = Array.from({ length: 60 }, () => newEvent(now()))
  await Promise.all(bad.map((event) => one.append(event)))
  const { work } = await one.claim(claimRequest())
  expect(work).toHaveLength(60)
  const good = bad.map(corrected)
  await Promise.all([
    ...work.map((each) => one.settle([refused(each)])),
    ...good.map((event) => other.append(event)),
    ...good.toReversed().map((event) => one.append({ ...event, uid: newUid() })),
  ])
  const { work: running } = await one.claim(claimRequest())
  expect(new Set(running.map(({ event }) => event.id))).toEqual(new Set(bad.map(({ id }) => id)))
  expect(running).toHaveLength(60)
})

test('a settlement that is cut off leaves the event its id, and the events in conflict with it unchanged', async () => {
  const url = ownSchema()
  const store = await openStore(url)
  onTestFinished(() => store.close())
  const bad = newEvent(now())
  await store.append(bad)
  const work = await claimOne(store)
  const good = corrected(bad)
  await store.append(good)
  const blocker = await blockedBy(url, `SELECT FROM event WHERE uid = '${good.uid}' FOR UPDATE`)
  const settling = store.settle([refused(work)]).catch(() => 'cut off')
  const [waiting] = await waitingFor(url, blocker.pid)
  await queryIn(url, 'SELECT pg_terminate_backend($1)', [waiting?.pid])
  expect(await settling).toBe('cut off')
  await blocker.release()
  expect(await store.event(bad.uid)).toMatchObject({ status: 'accepted', deliveries: [{ state: 'running' }] })
  expect(await store.event(good.uid)).toMatchObject({ status: 'conflict', deliveries: [] })
  await eventually(
    () => store.settle([refused(work)]).catch(() => []),
    ([took]) => took === true,
  )
  expect((await claimOne(store)).event.uid).toBe(good.uid)
})

test('an unknown event that is not judged yet costs only its own commit', async () => {
  const url = ownSchema()
  const store = await openReplica(url)
  // What a transaction writes so as to wait for those before it.
  const forcedCommits = async () => (await queryIn(url, 'SELECT FROM tally WHERE n = 0')).length
  const before = await forcedCommits()
  for (let n = 0; n < 3; n++) await store.append(newEvent({ ...now(), unjudged: ['by a schema'] }))
  expect(await forcedCommits()).toBe(before)
})

import type { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { newEvent } from '../contract/store-samples.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { connectIn, ownSchema } from '../support/postgres/schema.ts'

/** A transaction that has stored an event under the next key, and is open: its event cannot be seen yet. */
async function openAppend(url: string, id: string): Promise<Client> {
  const client = await connectIn(url)
  onTestFinished(() => client.end())
  await client.query('BEGIN')
  await client.query(
    `INSERT INTO event SELECT late.* FROM (SELECT event FROM event LIMIT 1) AS any_event, LATERAL jsonb_populate_record(
       any_event.event, jsonb_build_object('key', nextval('event_key_seq'), 'uid', gen_random_uuid(), 'id', $1::text)
     ) AS late`,
    [id],
  )
  return client
}

async function append(store: OpenStore, id: string): Promise<void> {
  await store.append(newEvent({ id, receivedAtMs: Date.now() }))
}

const idsAfter = async (store: OpenStore, position: number): Promise<readonly string[]> =>
  (await store.tail(position, 100)).events.map(({ event }) => event.id)

test('an event that becomes visible after events with higher keys is in the tail, before them, in every replica', async () => {
  const url = ownSchema()
  const [one, other] = [await openReplica(url), await openReplica(url)]
  await append(one, 'first')
  const [position, otherPosition] = [await one.tailEnd(), await other.tailEnd()]
  const late = await openAppend(url, 'late')
  await append(other, 'second')
  await append(one, 'third')

  expect(await one.tail(position, 100)).toEqual({ events: [], position })
  expect((await one.events({}, { limit: 10 })).items).toHaveLength(3)
  await late.query('COMMIT')
  expect(await idsAfter(one, position)).toEqual(['late', 'second', 'third'])
  expect(await idsAfter(other, otherPosition)).toEqual(['late', 'second', 'third'])
})

test('transactions that begin one after the other, and always overlap, do not hold the tail back', async () => {
  const url = ownSchema()
  const store = await openReplica(url)
  await append(store, 'first')
  let position = await store.tailEnd()
  const found: string[] = []
  let open = await openAppend(url, 'late 0')
  for (let nth = 1; nth <= 4; nth++) {
    const next = await openAppend(url, `late ${nth}`)
    const page = await store.tail(position, 100)
    found.push(...page.events.map(({ event }) => event.id))
    position = page.position
    await open.query('COMMIT')
    open = next
  }
  expect(found.length).toBeGreaterThan(0)
  await open.query('ROLLBACK')
  expect([...found, ...(await idsAfter(store, position))]).toEqual(['late 0', 'late 1', 'late 2', 'late 3'])
})

test('a transaction that is undone, and the keys of duplicates, hold nothing back', async () => {
  const url = ownSchema()
  const store = await openReplica(url)
  const event = newEvent({ id: 'first', receivedAtMs: Date.now() })
  await store.append(event)
  const position = await store.tailEnd()
  const undone = await openAppend(url, 'undone')
  await undone.query('ROLLBACK')
  expect(await store.append({ ...event, uid: newEvent().uid })).toMatchObject({ outcome: 'duplicate' })
  await append(store, 'second')
  expect(await idsAfter(store, position)).toEqual(['second'])
})

import { expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

const ordered = (given: Partial<NewEvent> = {}): NewEvent => newEvent({ orderKeys: { a: 7 }, ...given })
const claim = async (store: OpenStore) => (await store.claim(claimRequest({ ordered: true }))).work

test('deliveries that wait behind nothing, as after a fault, run within a minute', async () => {
  const path = ownPath()
  let nowMs = START_MS
  const store = await openStore(`file:${path}`, { clock: () => nowMs })
  const first = ordered()
  for (const event of [first, ordered()]) await store.append(event)
  await claim(store)
  await store.close()
  withDatabase(path, (db) => db.exec("UPDATE delivery SET state = 'blocked'"))

  const again = await openAt(path, nowMs)
  const found: string[] = []
  for (nowMs += 60_000; found.length === 0 && nowMs < START_MS + 120_000; nowMs += 1_000)
    found.push(...(await claim(again)).map(({ event }) => event.uid))
  expect(found).toEqual([first.uid])
  expect(await claim(again)).toEqual([])
})

test('a delivery whose body changed on disk dies and lets the next one go on', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const [bad, next] = [ordered(), ordered()]
  for (const event of [bad, next]) await store.append(event)
  await store.close()
  withDatabase(path, (db) =>
    db.prepare("UPDATE event_body SET bytes = x'00' WHERE key = (SELECT key FROM event WHERE uid = ?)").run(bad.uid),
  )
  const again = await openAt(path)
  const work = [...(await claim(again)), ...(await claim(again))]
  expect(work.map(({ event }) => event.uid)).toEqual([next.uid])
  expect((await again.event(bad.uid))?.deliveries).toMatchObject([{ state: 'dead' }])
})

test('the order outlives the process: what ran comes first, and the others wait for it', async () => {
  const path = ownPath()
  const store = await openAt(path)
  const events = [ordered(), ordered(), ordered()]
  for (const event of events) await store.append(event)
  await store.settle((await claim(store)).map((work) => settlement(work)))
  await claim(store)
  await store.close()
  const again = await openAt(path)
  const ran: string[] = []
  for (let work = await claim(again); work.length > 0; work = await claim(again)) {
    expect(work).toHaveLength(1)
    ran.push(...work.map(({ event }) => event.uid))
    await again.settle(work.map((each) => settlement(each)))
  }
  expect(ran).toEqual(events.slice(1).map(({ uid }) => uid))
})

import { expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { allPages, codeOf, newEvent, pruned, START_MS } from '../contract/store-samples.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

/** More than the newest part of the index holds in memory, and more than one page looks at. */
const EVENTS = 110_000

const numbered = (n: number) => newEvent({ id: `id-${n}`, receivedAtMs: START_MS + n, handlers: [] })

async function appendMany(store: OpenStore, from: number, to: number): Promise<void> {
  let next = from
  const one = async () => {
    while (next < to) await store.append(numbered(next++))
  }
  await Promise.all(Array.from({ length: 512 }, one))
}

test('after a hundred thousand events, and a reopening, the embedded store still knows a duplicate and finds an old event', {
  timeout: 120_000,
}, async () => {
  const path = ownPath()
  const first = await openAt(path)
  const needle = newEvent({ id: 'needle', receivedAtMs: START_MS + 200, handlers: [] })
  await first.append(needle)
  await appendMany(first, 0, EVENTS / 2)
  await first.close()
  const store = await openAt(path)
  await appendMany(store, EVENTS / 2, EVENTS)

  for (let n = 0; n < EVENTS; n += 1_009) {
    expect(await store.append({ ...numbered(n), uid: newUid() })).toMatchObject({ outcome: 'duplicate' })
  }
  expect(await pruned(store, START_MS + 100, 1_000)).toBe(100)
  expect(await codeOf(store.append(numbered(5)))).toBe('it resolved')
  expect(await store.append(numbered(5))).toMatchObject({ outcome: 'duplicate' })

  // No index answers this: a page looks at so many events and no more, and says where to go on.
  const page = await store.events({ q: 'id-1097', origin: 'webhook' }, { limit: 10 })
  expect(page.items).toHaveLength(10)
  const nothing = await store.events({ q: 'ID-105_' }, { limit: 50 })
  expect(nothing).toEqual({ items: [], nextCursor: expect.any(String) })
  const oldest = await allPages((each) => store.events({ q: needle.id }, each))
  expect(oldest.map(({ uid }) => uid)).toEqual([needle.uid])

  await store.close()
  const forgotten = 'SELECT count(*) AS n FROM dedupe WHERE event NOT IN (SELECT key FROM event)'
  expect(withDatabase(path, (db) => db.prepare(forgotten).get())).toEqual({ n: 0 })
})

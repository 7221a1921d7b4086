import { describe, expect, test } from 'vitest'
import type { TailedEvent } from '../../src/domain/event-tail.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { Fixture } from './store-contract.ts'
import { newEvent, pruned, START_MS } from './store-samples.ts'

/** The guarantees of `domain/event-tail.ts`. */
export function describeTail({ store }: Fixture): void {
  describe('`tail`', () => {
    test('gives each event once, in the order in which they were stored, page by page', async () => {
      const uids = await append(store(), 7)
      expect(uidsOf(await walk(store(), 0, 3))).toEqual(uids)
    })

    test('gives the same fields as the list, of events of every status', async () => {
      const first = newEvent({ id: 'same' })
      const conflict = newEvent({ id: 'same', body: Buffer.from('another') })
      const quarantined = newEvent({ status: 'quarantined', reasons: ['because'], handlers: [], task: 'task_1' })
      for (const event of [first, conflict, quarantined]) await store().append(event)
      const { items } = await store().events({}, { limit: 10 })
      expect((await walk(store(), 0)).map(({ event }) => event)).toEqual(items.toReversed())
    })

    test('goes on from the end with what is stored later, and gives a duplicate no second time', async () => {
      await append(store(), 2)
      const end = await store().tailEnd()
      expect(await store().tail(end, 10)).toEqual({ events: [], position: end })
      const event = newEvent()
      await store().append(event)
      await store().append({ ...newEvent(), id: event.id, body: event.body })
      const later = await store().tail(end, 10)
      expect(uidsOf(later.events)).toEqual([event.uid])
      expect((await store().tail(later.position, 10)).events).toEqual([])
    })

    test('goes on after each position that it gave with an event', async () => {
      const uids = await append(store(), 4)
      for (const [at, { position }] of (await walk(store(), 0)).entries())
        expect(uidsOf(await walk(store(), position))).toEqual(uids.slice(at + 1))
    })

    test('begins before the first event since a time, and at the end if there is none', async () => {
      for (const minutes of [0, 1, 2, 3])
        await store().append(newEvent({ id: `m${minutes}`, receivedAtMs: START_MS + minutes * 60_000 }))
      const from = async (minutes: number) =>
        (await walk(store(), await store().tailSince(START_MS + minutes * 60_000))).map(({ event }) => event.id)
      expect(await from(2)).toEqual(['m2', 'm3'])
      expect(await from(0)).toEqual(['m0', 'm1', 'm2', 'm3'])
      expect(await from(9)).toEqual([])
    })

    test('goes past events that are deleted', async () => {
      await append(store(), 3, START_MS, [])
      const kept = await append(store(), 1, START_MS + 60_000)
      await pruned(store(), START_MS + 1)
      expect(uidsOf(await walk(store(), 0))).toEqual(kept)
      expect(await store().tailEnd()).toBeGreaterThan(0)
    })

    test('misses none of many events that are stored at once, and gives none twice', async () => {
      const seen: string[] = []
      let position = 0
      let isDone = false
      const following = (async () => {
        for (let after = ''; after !== 'end'; after = isDone ? 'end' : '') {
          const page = await store().tail(position, 50)
          seen.push(...uidsOf(page.events))
          position = page.position
        }
      })()
      const uids = (await Promise.all(Array.from({ length: 20 }, () => append(store(), 20)))).flat()
      isDone = true
      await following
      seen.push(...uidsOf(await walk(store(), position)))
      expect(seen.toSorted()).toEqual(uids.toSorted())
    })
  })
}

async function append(
  store: OpenStore,
  count: number,
  receivedAtMs = START_MS,
  handlers: readonly string[] = ['a'],
): Promise<readonly string[]> {
  const uids: string[] = []
  for (let nth = 0; nth < count; nth++) {
    const event = newEvent({ receivedAtMs, handlers, ...(handlers.length === 0 && { status: 'unhandled' }) })
    await store.append(event)
    uids.push(event.uid)
  }
  return uids
}

async function walk(store: OpenStore, after: number, limit = 100): Promise<readonly TailedEvent[]> {
  const all: TailedEvent[] = []
  for (let position = after; ; ) {
    const page = await store.tail(position, limit)
    all.push(...page.events)
    if (page.events.length === 0) return all
    position = page.position
  }
}

const uidsOf = (events: readonly TailedEvent[]): readonly string[] => events.map(({ event }) => event.uid)

import pino from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { EventSummary } from '../../src/domain/event.ts'
import type { EventTail, TailedEvent } from '../../src/domain/event-tail.ts'
import type { LiveBatch, LiveReader } from '../../src/domain/live.ts'
import { LiveFeed } from '../../src/monitoring/live-events.ts'
import { type FindMatches, OutcomeWatch } from '../../src/monitoring/live-search.ts'
import { eventually } from '../support/eventually.ts'

const log = pino({ level: 'silent' })

/** A store whose events have their position as uid. */
function fakeStore() {
  const state = { last: 0, reads: 0, fault: undefined as Error | undefined }
  const store: EventTail = {
    tailEnd: async () => state.last,
    tailSince: async () => 0,
    tail: async (after, limit) => {
      state.reads++
      if (state.fault !== undefined) throw state.fault
      const count = Math.max(0, Math.min(limit, state.last - after))
      const events = Array.from(
        { length: count },
        (_, at): TailedEvent => ({
          position: after + at + 1,
          event: { uid: String(after + at + 1), source: 'ai', receivedAtMs: 0 } as EventSummary,
        }),
      )
      return { events, position: after + count }
    },
  }
  return { store, state }
}

const nothing: FindMatches = async (_, { last }) => ({ events: [], readTo: last })

function feedOf(store: EventTail, maxRecentEvents = 100, find = nothing): LiveFeed {
  const feed = new LiveFeed({ store: { ...store, replayJobs: { matches: find } }, log, maxRecentEvents })
  onTestFinished(() => feed.close())
  return feed
}

const none = new AbortController().signal
const uidsOf = (batch: LiveBatch): readonly string[] =>
  'end' in batch ? [batch.end] : batch.events.map(({ event }) => event.uid)

async function read(reader: LiveReader, count: number): Promise<readonly string[]> {
  const uids: string[] = []
  while (uids.length < count) uids.push(...uidsOf(await reader.next(10_000, none)))
  return uids
}

test('the store is not read while there is no reader, and by one tail for many readers', async () => {
  const { store, state } = fakeStore()
  const feed = feedOf(store)
  state.last = 5
  const readers = await Promise.all(Array.from({ length: 20 }, () => feed.open({ filter: {} })))
  state.last = 8
  expect(await Promise.all(readers.map((reader) => read(reader, 3)))).toEqual(readers.map(() => ['6', '7', '8']))
  expect(state.reads).toBeLessThan(10)
  for (const reader of readers) reader.close()
  const reads = () => state.reads
  let before = -1
  await eventually(async () => {
    const now = reads()
    const isQuiet = now === before
    before = now
    await new Promise((resolve) => setTimeout(resolve, 300))
    return isQuiet
  }, Boolean)
  const again = await feed.open({ filter: {} })
  state.last = 9
  expect(await read(again, 1)).toEqual(['9'])
})

test('a reader that has caught up and falls behind the events in memory ends as too slow, and another goes on', async () => {
  const { store, state } = fakeStore()
  const feed = feedOf(store, 50)
  const [slow, fast] = [await feed.open({ filter: {} }), await feed.open({ filter: {} })]
  state.last = 1
  await Promise.all([read(slow, 1), read(fast, 1)])
  for (let nth = 0; nth < 10; nth++) {
    state.last += 50
    await read(fast, 50)
  }
  expect(await slow.next(0, none)).toEqual({ end: 'slow' })
  // The one that comes back where it was reads the old events from the store first.
  const back = await feed.open({ filter: {}, after: slow.position() })
  expect((await read(back, 500)).at(0)).toBe('2')
  state.last++
  expect(await read(back, 1)).toEqual(['502'])
})

test('a reader waits no longer than it asked for, ends with its signal, and moves past events that do not match', async () => {
  const { store, state } = fakeStore()
  const feed = feedOf(store)
  const reader = await feed.open({ filter: { source: 'other' } })
  state.last = 7
  await eventually(
    async () => {
      await reader.next(50, none)
      return reader.position()
    },
    (position) => position === 7,
  )
  const gone = new AbortController()
  const waiting = reader.next(60_000, gone.signal)
  gone.abort()
  expect(await waiting).toEqual({ events: [] })
})

test('a store that does not answer for a while loses no event', async () => {
  const { store, state } = fakeStore()
  const feed = feedOf(store)
  const reader = await feed.open({ filter: {} })
  state.last = 1
  await read(reader, 1)
  state.fault = new Error('away')
  const { reads } = state
  await eventually(
    async () => state.reads,
    (now) => now > reads,
  )
  state.last = 3
  state.fault = undefined
  expect(await read(reader, 2)).toEqual(['2', '3'])
})

test('waiting for events leaves no listener on the signal that ends the feed, nor on that of a reader', async () => {
  const added = vi.spyOn(AbortSignal.prototype, 'addEventListener')
  const removed = vi.spyOn(AbortSignal.prototype, 'removeEventListener')
  onTestFinished(() => void vi.restoreAllMocks())
  const { store, state } = fakeStore()
  const feed = feedOf(store)
  const reader = await feed.open({ filter: {} })
  for (let nth = 0; nth < 5; nth++) {
    await reader.next(1, none)
    state.last++
    await read(reader, 1)
  }
  expect(added.mock.calls.length).toBeGreaterThan(5)
  // The tail waits for its next turn, and nothing else does.
  expect(added.mock.calls.length - removed.mock.calls.length).toBeLessThanOrEqual(1)
})

/** Events whose keys satisfy the condition, at most ten at once. */
const findWhere =
  (condition: (key: number) => boolean): FindMatches =>
  async (_, { after, last }) => {
    const readTo = Math.min(last, after + 10)
    const keys = Array.from({ length: readTo - after }, (__, at) => after + at + 1).filter(condition)
    return { events: keys.map((key) => ({ key, uid: String(key) })), readTo }
  }

test('a reader that searches payloads gets what matches, and moves past the others', async () => {
  const { store, state } = fakeStore()
  const feed = feedOf(
    store,
    100,
    findWhere((key) => key % 50 === 0),
  )
  const reader = await feed.open({ filter: { contains: 'x' } })
  state.last = 120
  expect(await read(reader, 2)).toEqual(['50', '100'])
  await eventually(
    async () => {
      await reader.next(50, none)
      return reader.position()
    },
    (position) => position === 120,
  )
})

test('a search that fails ends the call of its reader', async () => {
  const { store, state } = fakeStore()
  const find = vi.fn(findWhere((key) => key === 7)).mockRejectedValueOnce(new Error('away'))
  const feed = feedOf(store, 100, find)
  const reader = await feed.open({ filter: { match: [] } })
  state.last = 9
  await expect(reader.next(10_000, none)).rejects.toThrow('away')
})

test('a watch tells an event when it gets the outcome, and of those before it began only those that get it later', async () => {
  const dead = new Set([3, 5])
  const watch = new OutcomeWatch(
    { outcome: 'dead' },
    findWhere((key) => dead.has(key)),
    4,
  )
  expect(await watch.look(6)).toEqual([5])
  dead.add(2).add(40)
  expect(await watch.look(30)).toEqual([2])
  expect(await watch.look(50)).toEqual([40])
  expect(await watch.look(60)).toEqual([])
  // One was replayed, and died again.
  dead.delete(40)
  expect(await watch.look(60)).toEqual([])
  dead.add(40)
  expect(await watch.look(60)).toEqual([40])
})

test('a watch reads the payload of an event only when that has the outcome, and only once', async () => {
  const dead = new Set([2])
  const searched: number[] = []
  const find: FindMatches = async (filter, range, limit) => {
    const found = await findWhere((key) => dead.has(key))(filter, range, limit)
    if (filter.contains === undefined) return found
    searched.push(...found.events.map(({ key }) => key))
    return { ...found, events: found.events.filter(({ key }) => key !== 8) }
  }
  const watch = new OutcomeWatch({ outcome: 'dead', contains: 'x' }, find, 4)
  dead.add(6).add(8)
  expect(await watch.look(10)).toEqual([6])
  dead.add(5).add(7).add(9)
  expect(await watch.look(10)).toEqual([5, 7, 9])
  expect(searched).toEqual([6, 8, 5, 7, 9])
})

test('a watch of very many events with the outcome tells the newest of them', async () => {
  const find: FindMatches = async (_, { after, last }, limit) => {
    const readTo = Math.min(last, after + limit)
    return {
      events: Array.from({ length: readTo - after }, (__, at) => ({ key: after + at + 1, uid: '' })),
      readTo,
    }
  }
  const told = await new OutcomeWatch({ outcome: 'dead' }, find, 0).look(100_500)
  expect(told.length).toBeLessThanOrEqual(40_000)
  expect([told.at(-20_000), told.at(-1)]).toEqual([80_501, 100_500])
})

test.each(['succeeded', 'pending', 'none'] as const)(
  'a watch of %s looks no further back than its window',
  async (outcome) => {
    const after: number[] = []
    const find: FindMatches = async (_, range) => {
      after.push(range.after)
      return { events: [], readTo: range.last }
    }
    const watch = new OutcomeWatch({ outcome }, find, 50_000)
    await watch.look(50_001)
    await watch.look(80_000)
    await watch.look(80_001)
    expect(after).toEqual([40_000, 40_000, 40_001, 70_000])
  },
)

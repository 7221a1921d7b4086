import { expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { ReplayFilter } from '../../src/domain/replay-jobs.ts'
import { MAX_RANGE_READ } from '../../src/storage/shared/outcomes.ts'
import { allPages, newEvent, START_MS } from '../contract/store-samples.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

/** Many steps, and more than twice as many as are looked at one by one for the keys of a range of time. */
const EVENTS = 2 * MAX_RANGE_READ + 10_000
const RARE_EVERY = 4_000
const WRITERS = 512

const timeOf = (n: number): number => START_MS + Math.floor(n / 2)

/** Some are rare, and always two have the same time of receipt. */
const numbered = (n: number): NewEvent =>
  newEvent({
    id: `id-${n}`,
    receivedAtMs: timeOf(n),
    handlers: [],
    ...(n % RARE_EVERY === 0 && { status: 'quarantined' as const, reasons: ['rare'] }),
  })

const STORES = [
  ['the embedded store', openEmptyStore],
  ['PostgreSQL', () => openReplica(ownSchema())],
] as const

test.each(STORES)(
  'A search that no index answers finds each match once, newest first, step by step: %s.',
  {
    timeout: 120_000,
  },
  async (_, open) => {
    const store = await open()
    let next = 0
    const writer = async (): Promise<void> => {
      while (next < EVENTS) await store.append(numbered(next++))
    }
    await Promise.all(Array.from({ length: WRITERS }, writer))

    const rare = Array.from({ length: Math.ceil(EVENTS / RARE_EVERY) }, (_, at) => `id-${at * RARE_EVERY}`).toReversed()
    for (const limit of [1, 2, 50]) {
      const found = await allPages((page) => store.events({ status: 'quarantined' }, { ...page, limit }))
      expect(found.map(({ id }) => id)).toEqual(rare)
    }
    const ofType = await allPages((page) => store.events({ type: '*', q: 'ID-1234' }, { ...page, limit: 3 }))
    expect(new Set(ofType.map(({ id }) => id)).size).toBe(11)
    expect(ofType).toHaveLength(11)
    expect((await store.events({ origin: 'poll' }, { limit: 5 })).items).toEqual([])

    const keysOf = async (filter: ReplayFilter): Promise<number> => {
      const { after, last } = await store.replayJobs.range(filter)
      return last - after
    }
    const all = await keysOf({})
    expect(all).toBeGreaterThanOrEqual(EVENTS)
    // Nearly all, the newest few, more than half, and none. Events that are stored at once may have their keys in another order.
    expect(await keysOf({ untilMs: timeOf(EVENTS - 10) })).toBe(all)
    expect(await keysOf({ sinceMs: timeOf(EVENTS - 10) })).toBeLessThan(10 + 2 * WRITERS)
    const half = await keysOf({ sinceMs: timeOf(EVENTS / 2 - 2_000), untilMs: timeOf(EVENTS) })
    expect(half).toBeGreaterThanOrEqual(EVENTS / 2 + 2_000)
    expect(half).toBeLessThan(EVENTS / 2 + 2_000 + 2 * WRITERS)
    expect(await keysOf({ sinceMs: timeOf(2 * EVENTS) })).toBe(0)
    await store.close()
  },
)

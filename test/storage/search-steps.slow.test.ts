import { expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { EVENTS_PER_STEP } from '../../src/storage/shared/list-pages.ts'
import { allPages, newEvent, START_MS } from '../contract/store-samples.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

/** More than two steps have. */
const EVENTS = 2.5 * EVENTS_PER_STEP
const RARE_EVERY = 4_000
const WRITERS = 512

/** Some are rare, and always two have the same time of receipt. */
const numbered = (n: number): NewEvent =>
  newEvent({
    id: `id-${n}`,
    receivedAtMs: START_MS + Math.floor(n / 2),
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
    await store.close()
  },
)

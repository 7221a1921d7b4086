import { describe, expect, test } from 'vitest'
import {
  type DriftEntry,
  MAX_DRIFT_ENTRIES,
  MAX_SHAPE_CHARACTERS,
  type ShapeSave,
} from '../../src/domain/drift-store.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, codeOf, newEvent, START_MS } from './store-samples.ts'

const entry = (given: Partial<DriftEntry> = {}): DriftEntry => ({
  source: 'stripe',
  type: 'invoice.paid',
  path: 'data.object.discount',
  what: 'new',
  to: 'object',
  atMs: START_MS,
  event: 'uid-1',
  ...given,
})

const save = (given: Partial<ShapeSave> = {}): ShapeSave => ({
  source: 'stripe',
  type: 'invoice.paid',
  version: 0,
  shape: '{"a":1}',
  savedAtMs: START_MS,
  entries: [],
  ...given,
})

/** The guarantees of `domain/drift-store.ts`. */
export function describeDrift({ store }: Fixture): void {
  /** A shape may wait for another commit, and so goes along with an append here. */
  async function saveShape(given: ShapeSave): Promise<boolean> {
    const [isSaved] = await Promise.all([store().saveShape(given), store().append(newEvent())])
    return isSaved
  }

  describe('a shape', () => {
    test('is read as it was saved last, each source and type apart', async () => {
      expect(await store().readShape('stripe', 'invoice.paid')).toBeUndefined()
      expect(await saveShape(save())).toBe(true)
      expect(await saveShape(save({ version: 1, shape: '{"ü\u{1f600}":2}' }))).toBe(true)
      expect(await saveShape(save({ type: 'with\0nul', shape: '"b"' }))).toBe(true)
      expect(await store().readShape('stripe', 'invoice.paid')).toEqual({ version: 2, shape: '{"ü\u{1f600}":2}' })
      expect(await store().readShape('stripe', 'with\0nul')).toEqual({ version: 1, shape: '"b"' })
      expect(await store().readShape('github', 'invoice.paid')).toBeUndefined()
    })

    test('that another process has saved meanwhile is not overwritten, and its entries are not added', async () => {
      const first = { ...entry(), path: 'first' }
      const second = { ...entry(), path: 'second' }
      const results = await Promise.all([
        saveShape(save({ shape: '1', entries: [first] })),
        saveShape(save({ shape: '2', entries: [second] })),
      ])
      expect(results.filter(Boolean)).toHaveLength(1)
      expect(await saveShape(save({ version: 7, shape: '3', entries: [first] }))).toBe(false)
      const { items } = await store().driftEntries({}, { limit: 10 })
      expect(items).toEqual([results[0] === true ? first : second])
    })

    test('that is too long is refused', async () => {
      const shape = 'x'.repeat(MAX_SHAPE_CHARACTERS + 1)
      expect(await codeOf(saveShape(save({ shape })))).toBe('invalid_request')
    })
  })

  describe('the changes of shapes', () => {
    test('are listed with the newest first, page by page, by source, type and time', async () => {
      const entries = [0, 1, 2, 3, 4].map((nth) =>
        entry({ path: `p${nth}`, atMs: START_MS + Math.floor(nth / 2), type: nth % 2 === 0 ? 'a' : 'b\0' }),
      )
      entries.push(
        entry({ source: 'github', what: 'vanished', from: 'number|string', path: 'gone', atMs: START_MS - 1 }),
      )
      const { to: _, ...gone } = entries[5] as DriftEntry
      entries[5] = gone
      await saveShape(save({ entries: entries.slice(0, 5).map((each) => ({ ...each, type: 'a' })) }))
      await saveShape(save({ source: 'github', entries: [gone].map((each) => ({ ...each, type: 'invoice.paid' })) }))
      const pathsOf = async (filter: object, limit = 2) =>
        (await allPages((page) => store().driftEntries(filter, page), limit)).map(({ path }) => path)
      expect(await pathsOf({})).toEqual(['p4', 'p3', 'p2', 'p1', 'p0', 'gone'])
      expect(await pathsOf({ source: 'github' })).toEqual(['gone'])
      expect(await pathsOf({ source: 'github', type: '*.paid' })).toEqual(['gone'])
      expect(await pathsOf({ type: 'invoice.paid' })).toHaveLength(6)
      expect(await pathsOf({ type: 'Invoice.*' })).toEqual([])
      expect(await pathsOf({ source: 'with\0nul' })).toEqual([])
      expect(await pathsOf({ sinceMs: START_MS + 1, untilMs: START_MS + 2 })).toEqual(['p3', 'p2'])
      expect((await store().driftEntries({ source: 'github' }, { limit: 1 })).items).toEqual([
        { ...gone, type: 'invoice.paid' },
      ])
      expect(await codeOf(store().driftEntries({}, { limit: 1, cursor: 'nonsense' }))).toBe('invalid_request')
    })

    test('are deleted with their age, and shapes that were not saved for long', async () => {
      await saveShape(save({ entries: [entry(), entry({ path: 'later', atMs: START_MS + 10 })] }))
      expect(await store().pruneDrift(START_MS + 5, START_MS)).toBe(1)
      const { items } = await store().driftEntries({}, { limit: 10 })
      expect(items.map(({ path }) => path)).toEqual(['later'])
      expect(await store().readShape('stripe', 'invoice.paid')).toBeDefined()
      expect(await store().pruneDrift(0, START_MS + 1)).toBe(1)
      expect(await store().readShape('stripe', 'invoice.paid')).toBeUndefined()
    })

    test('are no more than their bound', async () => {
      const many = Array.from({ length: 2_000 }, (_, nth) => nth)
      for (let version = 0; version * 2_000 <= MAX_DRIFT_ENTRIES; version++)
        await saveShape(
          save({ version, entries: many.map((nth) => entry({ atMs: START_MS + version * 2_000 + nth })) }),
        )
      await store().pruneDrift(0, 0)
      const old = await store().driftEntries({ untilMs: START_MS + 2_000 }, { limit: 1 })
      expect(old.items).toEqual([])
      expect((await store().driftEntries({ untilMs: START_MS + 2_001 }, { limit: 1 })).items).toHaveLength(1)
    })
  })
}

import { describe, expect, test } from 'vitest'
import { DAY_MS, HOUR_MS } from '../../src/domain/clock.ts'
import type { StatQuery, StatRow } from '../../src/domain/stat-store.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, newEvent, START_MS, settlement } from './store-samples.ts'

export const statRow = (row: Partial<StatRow> = {}): StatRow => ({
  span: 'minute',
  atMs: START_MS,
  source: 'stripe',
  writer: 'one',
  numbers: '{"received":1}',
  ...row,
})

export const ALL_MINUTES: StatQuery = { span: 'minute', sinceMs: 0, untilMs: START_MS + 365 * DAY_MS, limit: 100 }
const ALL_HOURS: StatQuery = { ...ALL_MINUTES, span: 'hour' }
const PRUNED = { minutesBeforeMs: 0, hoursBeforeMs: 0, afterMs: START_MS + 365 * DAY_MS, limit: 100 }

/** The guarantees of `domain/stat-store.ts`. */
export function describeStats({ store, now, pass }: Fixture): void {
  /** A row may wait for another commit, and so goes along with an append here. */
  async function record(...rows: readonly StatRow[]): Promise<void> {
    await Promise.all([store().recordStats(rows), store().append(newEvent())])
  }

  test('a claim says since when its deliveries were due, by the clock of the process', async () => {
    await store().append(newEvent())
    pass(5_000)
    const first = await claimOne(store())
    expect(first.dueAtMs).toBe(START_MS)
    await store().settle([settlement(first, { verdict: 'retry', outcome: 'failed', dueAtMs: now() + 1_000 })])
    pass(60_000)
    expect((await claimOne(store())).dueAtMs).toBe(START_MS + 6_000)
  })

  describe('`recordStats`', () => {
    test('writes rows that `statRows` gives back, in order of time, source and writer', async () => {
      const rows = [
        statRow({ atMs: START_MS + 60_000 }),
        statRow({ source: '' }),
        statRow({ source: 'ai' }),
        statRow({ writer: 'two' }),
        statRow(),
      ]
      await record(...rows, statRow({ span: 'hour' }))
      expect(await store().statRows(ALL_MINUTES)).toEqual([rows[1], rows[2], rows[4], rows[3], rows[0]])
      expect(await store().statRows(ALL_HOURS)).toEqual([statRow({ span: 'hour' })])
    })

    test('writes a row in place of the one that its process wrote of the same period', async () => {
      await record(statRow(), statRow({ writer: 'two' }))
      const later = statRow({ numbers: '{"received":5}' })
      await record(later)
      await record(later)
      expect(await store().statRows(ALL_MINUTES)).toEqual([later, statRow({ writer: 'two' })])
    })

    test('goes along with the next commit, or is written at the latest when the store closes', async () => {
      const recorded = store().recordStats([statRow()])
      await store().close()
      await recorded
    })

    test('takes no rows at all', async () => {
      await record()
      expect(await store().statRows(ALL_MINUTES)).toEqual([])
    })
  })

  describe('`statRows`', () => {
    test('gives the periods that begin from one time on and before another, of one source if it is named', async () => {
      const rows = [-60_000, 0, 60_000, 120_000].flatMap((ms) =>
        ['ai', 'stripe'].map((source) => statRow({ atMs: START_MS + ms, source })),
      )
      await record(...rows)
      const query = { ...ALL_MINUTES, sinceMs: START_MS, untilMs: START_MS + 120_000 }
      expect(await store().statRows(query)).toEqual(rows.slice(2, 6))
      expect(await store().statRows({ ...query, source: 'ai' })).toEqual([rows[2], rows[4]])
      for (const source of ['nowhere', 'with\0nul']) expect(await store().statRows({ ...query, source })).toEqual([])
    })

    test('gives every row once, page by page', async () => {
      const rows = [0, 60_000].flatMap((ms) =>
        ['ai', 'stripe'].flatMap((source) =>
          ['one', 'two'].map((writer) => statRow({ atMs: START_MS + ms, source, writer })),
        ),
      )
      await record(...rows)
      for (const limit of [1, 3, 8]) {
        const found: StatRow[] = []
        for (let after: StatRow | undefined, more = true; more; after = found.at(-1)) {
          const page = await store().statRows({ ...ALL_MINUTES, limit, ...(after !== undefined && { after }) })
          found.push(...page)
          more = page.length === limit
        }
        expect(found).toEqual(rows)
      }
    })
  })

  describe('`pruneStats`', () => {
    test('deletes the hours of handlers by the time of minutes', async () => {
      const rows = [0, HOUR_MS, 2 * HOUR_MS].map((ms) => statRow({ span: 'handlers', atMs: START_MS + ms }))
      await record(...rows)
      expect(await store().pruneStats({ ...PRUNED, minutesBeforeMs: START_MS + HOUR_MS })).toBe(1)
      expect(await store().pruneStats({ ...PRUNED, afterMs: START_MS + HOUR_MS })).toBe(1)
      expect(await store().statRows({ ...ALL_MINUTES, span: 'handlers' })).toEqual(rows.slice(1, 2))
    })

    test('deletes old minutes and old hours by their own times, and what lies ahead, as many as asked for', async () => {
      const times = [0, HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS].map((ms) => START_MS + ms)
      const minutes = times.map((atMs) => statRow({ atMs }))
      const hours = times.map((atMs) => statRow({ atMs, span: 'hour' }))
      await record(...minutes, ...hours)
      const old = { ...PRUNED, minutesBeforeMs: START_MS + 2 * HOUR_MS, hoursBeforeMs: START_MS + HOUR_MS }
      expect(await store().pruneStats({ ...old, limit: 1 })).toBe(1)
      expect(await store().pruneStats(old)).toBe(2)
      expect(await store().pruneStats(old)).toBe(0)
      expect(await store().statRows(ALL_MINUTES)).toEqual(minutes.slice(2))
      expect(await store().statRows(ALL_HOURS)).toEqual(hours.slice(1))
      expect(await store().pruneStats({ ...PRUNED, afterMs: START_MS + 2 * HOUR_MS })).toBe(2)
      expect(await store().statRows(ALL_MINUTES)).toEqual(minutes.slice(2, 3))
      expect(await store().statRows(ALL_HOURS)).toEqual(hours.slice(1, 3))
    })
  })

  test('`size` gives the bytes that the database takes up, and those that are free where they are known', async () => {
    await store().append(newEvent())
    const { bytes, freeBytes = 1 } = await store().size()
    expect(bytes).toBeGreaterThan(50_000)
    expect(freeBytes).toBeGreaterThan(0)
  })

  describe('episodes', () => {
    test('begin once and end once, each kind and source for itself', async () => {
      const silent = { kind: 'silent', source: 'ai', sinceMs: START_MS } as const
      const refusing = { kind: 'refusing', source: 'ai', sinceMs: START_MS + 5 } as const
      expect(await store().endEpisode('silent', 'ai')).toBe(false)
      const begun = await Promise.all([1, 2, 3].map(() => store().beginEpisode(silent)))
      expect(begun.filter((isFirst) => isFirst)).toHaveLength(1)
      expect(await store().beginEpisode({ ...silent, sinceMs: START_MS + 9 })).toBe(false)
      expect(await store().beginEpisode(refusing)).toBe(true)
      expect(await store().beginEpisode({ ...silent, source: 'stripe' })).toBe(true)
      expect(await store().episodes()).toEqual([refusing, silent, { ...silent, source: 'stripe' }])
      const ended = await Promise.all([1, 2, 3].map(() => store().endEpisode('silent', 'ai')))
      expect(ended.filter((isFirst) => isFirst)).toHaveLength(1)
      expect(await store().episodes()).toEqual([refusing, { ...silent, source: 'stripe' }])
    })
  })
}

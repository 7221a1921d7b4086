import { expect, test } from 'vitest'
import type { StatRow } from '../../src/domain/stat-store.ts'
import { Numbers } from '../../src/monitoring/numbers.ts'
import { createReadDay } from '../../src/monitoring/read-day.ts'
import { createReadRecentStats } from '../../src/monitoring/read-recent-stats.ts'
import { createReadStats } from '../../src/monitoring/read-stats.ts'
import { StatsRecorder } from '../../src/monitoring/stats-recorder.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const START_MS = Date.UTC(2026, 10, 27, 10)

/** Recorders over one store in memory, and a clock that only the test moves. */
function rig() {
  const rows = new Map<string, StatRow>()
  const at = { ms: START_MS }
  let fails = false
  /** The length of each period that was read. */
  const asked: number[] = []
  const clock = () => at.ms
  const store = {
    recordStats: async (given: readonly StatRow[]) => {
      if (fails) throw new Error('the disk is full')
      for (const row of given) rows.set(`${row.span} ${row.atMs} ${row.source} ${row.writer}`, row)
    },
    statRows: async ({ span, sinceMs, untilMs, source, after, limit }: Parameters<typeof read>[0]) => {
      asked.push(untilMs - sinceMs)
      const found = [...rows.values()]
        .filter((row) => row.span === span && row.atMs >= sinceMs && row.atMs < untilMs)
        .filter((row) => source === undefined || row.source === source)
        .toSorted((a, b) => a.atMs - b.atMs || (a.source < b.source ? -1 : 1))
      return after === undefined ? found.slice(0, limit) : []
    },
  }
  const read = (query: {
    span: string
    sinceMs: number
    untilMs: number
    source?: string
    after?: object
    limit: number
  }) => store.statRows(query)
  return {
    at,
    rows: () => [...rows.values()],
    recorder: () => new StatsRecorder({ store, clock, receives: true, sources: () => new Set(['ai', 'stripe']) }),
    stats: createReadStats(store, clock),
    day: createReadDay(store, clock),
    recent: createReadRecentStats(store, clock),
    asked,
    fail: (is: boolean) => {
      fails = is
    },
  }
}

const numbersOf = ({ numbers }: StatRow): Numbers => {
  const read = new Numbers()
  read.addText(numbers)
  return read
}

test('the recorder counts everything by source and minute, and once more by hour', async () => {
  const { recorder, stats, at } = rig()
  const counting = recorder()
  counting.request('ai', 'accepted')
  counting.received('ai')
  counting.acknowledged('ai', 0.004)
  counting.started('ai', 'log', 0.5)
  counting.processed('ai', 'a', 'log', 0.02)
  counting.request('ai', 'duplicate')
  counting.request('stripe', 'signature_mismatch')
  counting.request('stripe', 'signature_mismatch')
  counting.request('stripe', 'timestamp_stale')
  at.ms += MINUTE_MS
  counting.failed('ai', 'a', 'log', 0.1)
  counting.dead('ai')
  counting.taskResolved('ai', 'poll')
  counting.taskResolved('ai', 'webhook')
  await counting.flush()
  const report = await stats({ sinceMs: START_MS, untilMs: START_MS + HOUR_MS })
  expect(report).toMatchObject({
    stepSeconds: 60,
    total: { received: 1, duplicates: 1, handled: 1, failed: 1, dead: 1, recovered: 1 },
    points: [
      { atMs: START_MS, received: 1, duplicates: 1, handled: 1, failed: 0, ack: { count: 1 }, queue: { count: 1 } },
      { atMs: START_MS + MINUTE_MS, received: 0, failed: 1, dead: 1, recovered: 1, handler: { count: 1 } },
    ],
  })
  expect(Object.fromEntries(report.total.refused)).toEqual({ signature_mismatch: 2, timestamp_stale: 1 })
  expect(report.total.ack.p50Ms).toBeGreaterThan(3.6)
  expect(report.total.ack.p50Ms).toBeLessThan(4.4)
  const byHour = await stats({ sinceMs: START_MS, untilMs: START_MS + 1, stepSeconds: 3_600 })
  expect(byHour.total).toMatchObject({ ...report.total, handler: { count: 2, p99Ms: report.total.handler.p99Ms } })
  expect((await stats({ source: 'stripe', untilMs: START_MS + HOUR_MS })).total).toMatchObject({
    received: 0,
    handled: 0,
  })
})

test('processes that count at the same time are summed up, and so is one that was started again', async () => {
  const { recorder, stats } = rig()
  for (const counting of [recorder(), recorder(), recorder()]) {
    counting.received('ai')
    await counting.flush()
    counting.received('ai')
    await counting.flush()
  }
  for (const stepSeconds of [60, 3_600])
    expect((await stats({ sinceMs: START_MS, untilMs: START_MS + 1, stepSeconds })).total.received).toBe(6)
})

test('what the store could not write is written later, and counts once', async () => {
  const { recorder, stats, fail, at } = rig()
  const counting = recorder()
  counting.received('ai')
  await counting.flush()
  fail(true)
  counting.received('ai')
  await counting.flush()
  at.ms += MINUTE_MS
  counting.received('ai')
  await counting.flush()
  fail(false)
  await counting.flush()
  const { points } = await stats({ sinceMs: START_MS, untilMs: START_MS + HOUR_MS })
  expect(points.map(({ received }) => received)).toEqual([2, 1])
})

test('a source that is not configured is not counted', async () => {
  const { recorder, rows } = rig()
  const counting = recorder()
  counting.request(undefined, 'unknown_source')
  counting.request('stranger', 'accepted')
  counting.received('stranger')
  await counting.flush()
  expect(rows().map(({ source }) => source)).toEqual([''])
})

test('the hour names the minutes in which an authentic webhook came, and those in which the service ran', async () => {
  const { recorder, rows, at } = rig()
  const counting = recorder()
  const minute = async (n: number, outcome?: 'accepted' | 'signature_missing' | 'unavailable') => {
    at.ms = START_MS + n * MINUTE_MS
    if (outcome !== undefined) counting.request('ai', outcome)
    await counting.flush()
  }
  await minute(0, 'accepted')
  await minute(1, 'signature_missing')
  await minute(29, 'unavailable')
  await minute(30, 'accepted')
  await minute(59, 'accepted')
  const hour = (source: string) => rows().find((row) => row.span === 'hour' && row.source === source)
  const minutes = (source: string) => numbersOf(hour(source) as StatRow).minutes.minutes()
  expect(minutes('ai')).toEqual([0, 29, 30, 59])
  expect(minutes('')).toEqual([0, 1, 29, 30, 59])
})

test('a clock that goes back a little counts in the minute where it was, and one that goes back far writes over nothing', async () => {
  const { recorder, stats, at } = rig()
  const counting = recorder()
  const count = async (ms: number) => {
    at.ms = START_MS + ms
    counting.received('ai')
    await counting.flush()
  }
  await count(0)
  await count(2 * HOUR_MS)
  await count(2 * HOUR_MS - MINUTE_MS)
  await count(0)
  const { points } = await stats({ sinceMs: START_MS, untilMs: START_MS + 3 * HOUR_MS, stepSeconds: 60 })
  expect(points.map(({ atMs, received }) => [atMs - START_MS, received])).toEqual([
    [0, 2],
    [2 * HOUR_MS, 2],
  ])
})

test('a step is chosen by the period, is a whole number of hours where minutes are not kept, and bounds the answer', async () => {
  const { stats, at } = rig()
  const stepOf = async (hours: number, stepSeconds?: number) =>
    (await stats({ sinceMs: at.ms - hours * HOUR_MS, ...(stepSeconds !== undefined && { stepSeconds }) })).stepSeconds
  expect(await stepOf(1)).toBe(60)
  expect(await stepOf(24)).toBe(300)
  expect(await stepOf(7 * 24)).toBe(3_600)
  expect(await stepOf(90 * 24)).toBe(43_200)
  expect(await stepOf(49, 60)).toBe(3_600)
  expect(await stepOf(24, 5_400)).toBe(7_200)
  await expect(stepOf(47, 60)).rejects.toMatchObject({ code: 'invalid_request' })
  await expect(stepOf(1, 90)).rejects.toMatchObject({ code: 'invalid_request' })
  await expect(stepOf(91 * 24)).rejects.toMatchObject({ code: 'invalid_request' })
  await expect(stepOf(0)).rejects.toMatchObject({ code: 'invalid_request' })
})

test('the last day is read by source and by handler, over all processes and sources, with the numbers of each hour', async () => {
  const { recorder, day, at, rows } = rig()
  const [one, other] = [recorder(), recorder()]
  one.received('ai')
  one.processed('ai', 'a', 'billing', 0.1)
  one.failed('ai', 'a', 'billing', 0.1)
  other.processed('stripe', 's', 'billing', 0.1)
  await Promise.all([one.flush(), other.flush()])
  at.ms += HOUR_MS
  one.processed('ai', 'a', 'ledger', 0.02)
  await one.flush()
  const { sources, handlers } = await day()
  expect(sources.get('ai')?.receivedHourly.slice(-2)).toEqual([1, 0])
  expect(handlers.get('billing')).toMatchObject({ handled: 2, failed: 1, times: { count: 3 } })
  expect(handlers.get('billing')?.handledHourly.slice(-2)).toEqual([2, 0])
  expect(handlers.get('billing')?.failedHourly.slice(-2)).toEqual([1, 0])
  expect(handlers.get('ledger')?.handledHourly.slice(-2)).toEqual([0, 1])
  expect(rows().filter(({ span, numbers }) => span !== 'handlers' && numbers.includes('billing'))).toEqual([])
})

test('a flush writes the numbers of a bounded number of handlers, those that have waited longest first, and the last flush all', async () => {
  const { recorder, rows, at } = rig()
  const counting = recorder()
  const attempts = (source: string) => {
    for (let n = 0; n < 100; n++) counting.processed(source, 'a', `h${n}`, 0.1)
  }
  const written = () =>
    rows()
      .filter(({ span }) => span === 'handlers')
      .map(({ source, atMs, numbers }) => [source, atMs - START_MS, JSON.parse(numbers).h99?.[0]])
  attempts('ai')
  attempts('stripe')
  await counting.flush()
  expect(written()).toEqual([['ai', 0, 1]])
  attempts('ai')
  at.ms += HOUR_MS
  await counting.flush()
  expect(written()).toEqual([
    ['ai', 0, 1],
    ['stripe', 0, 1],
  ])
  attempts('ai')
  counting.stop()
  expect(written()).toEqual([
    ['ai', 0, 2],
    ['stripe', 0, 1],
    ['ai', HOUR_MS, 1],
  ])
})

test('a period that is asked for again and again is as if it were read whole, but only its last steps are read', async () => {
  const { recorder, stats, recent, asked, at } = rig()
  const counting = recorder()
  const [hours, stepSeconds] = [1, 300]
  for (let minute = 0; minute < 90; minute++) {
    counting.received('ai')
    counting.acknowledged('ai', 0.001 * minute)
    await counting.flush()
    const sinceMs = at.ms - HOUR_MS + stepSeconds * 1_000
    const [rolling, whole] = [await recent({ hours, stepSeconds }), await stats({ sinceMs, stepSeconds })]
    const inOrder = (points: typeof whole.points) => points.toSorted((one, other) => one.atMs - other.atMs)
    expect({ ...rolling, points: inOrder(rolling.points) }).toEqual({ ...whole, points: inOrder(whole.points) })
    at.ms += MINUTE_MS + 700
  }
  const [whole, ...later] = asked.filter((_, n) => n % 2 === 0)
  expect(whole).toBeGreaterThan(HOUR_MS - 2 * stepSeconds * 1_000)
  // Every ten minutes all is read again, as a process may have handed in numbers late.
  expect(later.filter((ms) => ms > 3 * stepSeconds * 1_000).length).toBeLessThan(10)
})

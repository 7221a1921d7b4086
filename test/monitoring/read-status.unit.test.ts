import { expect, onTestFinished, test, vi } from 'vitest'
import type { OutcomeCounts } from '../../src/domain/event-facets.ts'
import type { Counts } from '../../src/domain/store-health.ts'
import { Numbers } from '../../src/monitoring/numbers.ts'
import { createReadStatus, type StatusParts } from '../../src/monitoring/read-status.ts'

const NOW_MS = Date.parse('2026-11-03T04:00:30Z')

const counts: Counts = {
  deliveries: { pending: 0, running: 0, succeeded: 5, dead: 2, discarded: 0 },
  oldestDueAtMs: undefined,
  tasks: { submitting: 0, pending: 0, completed: 0, failed: 0, cancelled: 0, expired: 0 },
}

const noHealth = {
  lastWebhookAtMs: undefined,
  usualGapMs: undefined,
  silentSinceMs: undefined,
  refusingSinceMs: undefined,
  refusingReason: undefined,
}

const rowOf = (sums: Partial<Numbers>) => Object.assign(new Numbers(), sums).toText()

const outcomes = (none: number, more = false): OutcomeCounts => {
  const no = { count: 0, more }
  return { succeeded: no, pending: no, failing: no, dead: no, discarded: no, none: { count: none, more } }
}

const parts = (overrides: Partial<StatusParts> = {}): StatusParts => ({
  store: {
    faults: () => [],
    warnings: () => [],
    counts: async () => counts,
    driftEntries: async () => ({ items: [], nextCursor: undefined }),
    size: async () => ({ bytes: 7, freeBytes: undefined }),
    statRows: async ({ span, source, after }) =>
      after !== undefined || source !== undefined
        ? []
        : [{ span, atMs: NOW_MS, source: 'ai', writer: 'w', numbers: rowOf({ received: 3, quarantined: 1 }) }],
    facets: { countByOutcome: async () => outcomes(1), retrying: async () => [], waiting: async () => [] },
    deliveries: async () => ({ items: [], nextCursor: undefined }),
    replicas: undefined,
  },
  kind: 'sqlite',
  role: 'all',
  routeFaults: () => [],
  retentionWarnings: () => [],
  clockOffSeconds: () => 0,
  lastReload: () => ({ ok: true, succeededAtMs: NOW_MS }),
  pauses: { list: () => [], isDraining: false },
  sources: () => ['ai', 'shop'],
  sourceState: async (source) => ({
    lastWebhookAtMs: source === 'ai' ? NOW_MS - 5 : undefined,
    recovered: 0,
    breaker: null,
    silentSinceMs: undefined,
  }),
  sourceHealth: () => noHealth,
  deadCauses: async () => ({ causes: [], unnamed: 0 }),
  handlers: () => [{ name: 'log' }],
  clock: () => NOW_MS,
  ...overrides,
})

test('the status has the problems, counts, recent numbers and last event of all sources', async () => {
  expect(await createReadStatus(parts())()).toMatchObject({
    problems: [{ problem: 'dead_letters' }, { problem: 'events_quarantined', source: 'ai' }],
    counts,
    store: { kind: 'sqlite', faults: [], bytes: 7, freeBytes: undefined },
    recent: { minutes: 5, received: 3, refused: 0 },
    lastEventAtMs: NOW_MS - 5,
    sources: 2,
    handlers: 1,
    workers: undefined,
  })
})

test('events that a replay has understood since are no problem any more, unless there are too many events to tell', async () => {
  const withCounts = (found: OutcomeCounts) =>
    createReadStatus(
      parts({ store: { ...parts().store, facets: { ...parts().store.facets, countByOutcome: async () => found } } }),
    )()
  const named = async (found: OutcomeCounts) => (await withCounts(found)).problems.map(({ problem }) => problem)
  expect(await named(outcomes(0))).toEqual(['dead_letters'])
  expect(await named(outcomes(0, true))).toEqual(['dead_letters', 'events_quarantined'])
})

test('a handler is failing while most of its newest deliveries fail and ten wait to be tried again, and no longer when the newest succeed', async () => {
  const delivery = { eventUid: 'e', source: 'ai', type: 't', handler: 'log', attempts: 1, dueAtMs: NOW_MS } as const
  const failed = { ...delivery, state: 'pending', lastError: 'CRM answered 503' } as const
  const succeeded = { ...delivery, state: 'succeeded' } as const
  const named = async (
    count: number,
    items: readonly (typeof failed | typeof succeeded)[],
    oldestReceivedAtMs = NOW_MS - 60_000,
  ) => {
    const { store } = parts()
    const facets = {
      ...store.facets,
      retrying: async () => [{ handler: 'log', count, more: false, oldestReceivedAtMs }],
    }
    const status = await createReadStatus(
      parts({ store: { ...store, facets, deliveries: async () => ({ items, nextCursor: undefined }) } }),
    )()
    return status.problems.filter(({ problem }) => problem === 'handler_failing')
  }
  expect(await named(10, [succeeded, failed, failed])).toMatchObject([
    { handler: 'log', count: 10, sinceMs: NOW_MS - 60_000, cause: 'CRM answered 503' },
  ])
  expect(await named(9, [failed, failed])).toEqual([])
  expect(await named(10, [failed, failed], NOW_MS - 59_000)).toEqual([])
  expect(await named(40, [succeeded, succeeded, failed])).toEqual([])
})

test('tasks that expired are a problem that says to the minute when the last one did', async () => {
  const hourMs = Date.parse('2026-11-03T02:00:00Z')
  const lastMs = hourMs + 17 * 60_000
  const row = (atMs: number, expired: number, writer = 'w') => ({
    atMs,
    source: 'ai',
    writer,
    numbers: rowOf({ expired }),
  })
  const rows = {
    hour: [row(hourMs - 3_600_000, 2), row(hourMs, 1), row(hourMs, 3, 'other'), row(hourMs + 3_600_000, 0)],
    minute: [row(hourMs + 5 * 60_000, 1), row(lastMs, 3, 'other'), row(lastMs + 60_000, 0)],
    handlers: [],
  }
  const statRows: StatusParts['store']['statRows'] = async ({ span, sinceMs, untilMs, after }) =>
    after !== undefined
      ? []
      : rows[span].filter(({ atMs }) => atMs >= sinceMs && atMs < untilMs).map((each) => ({ ...each, span }))
  const { problems } = await createReadStatus(parts({ store: { ...parts().store, statRows } }))()
  expect(problems.find(({ problem }) => problem === 'tasks_expired')).toMatchObject({
    severity: 'notice',
    count: 6,
    lastMs,
    source: 'ai',
  })
})

test('the status with the store away has what the process itself knows', async () => {
  const gone = async () => Promise.reject(new Error('gone'))
  const store = { ...parts().store, faults: () => ['gone'], counts: gone, size: gone, statRows: gone }
  expect(await createReadStatus(parts({ store, sourceState: gone }))()).toMatchObject({
    problems: [{ problem: 'store_failing', cause: 'gone' }],
    counts: undefined,
    recent: undefined,
    lastEventAtMs: undefined,
    handlers: 1,
  })
})

test('a store that does not answer is a problem before it has refused an event', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const mute = () => new Promise<never>(() => {})
  const rows = async () => mute()
  const store = { ...parts().store, counts: mute, size: mute, driftEntries: mute, statRows: rows }
  const status = createReadStatus(parts({ store, sourceState: mute, deadCauses: mute }))()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await status).toMatchObject({
    problems: [{ problem: 'store_failing', severity: 'critical', cause: 'the store does not answer' }],
    store: { faults: ['the store does not answer'] },
    counts: undefined,
  })
  const slow = createReadStatus(parts({ store: { ...store, counts: async () => counts } }))()
  await vi.advanceTimersByTimeAsync(10_000)
  expect((await slow).problems).not.toMatchObject([{ problem: 'store_failing' }])
})

test('a handler that only a process has which does not run is missing', async () => {
  const replicas = { workers: () => [{ handlers: [{ name: 'log' }] }, { handlers: undefined }] }
  const status = await createReadStatus(
    parts({ store: { ...parts().store, replicas }, handlers: () => [{ name: 'log' }, { name: 'billing' }] }),
  )()
  expect(status.problems[0]).toMatchObject({ problem: 'handler_missing', handler: 'billing' })
  expect(status.workers).toBe(2)
})

test('a handler that was removed while deliveries wait for it is named as missing', async () => {
  const asked: (readonly string[] | undefined)[] = []
  const count: StatusParts['store']['counts'] = async (served) => {
    asked.push(served)
    return { ...counts, unserved: ['renamed'] }
  }
  const { problems } = await createReadStatus(parts({ store: { ...parts().store, counts: count } }))()
  expect(asked).toEqual([['log']])
  expect(problems[0]).toMatchObject({ problem: 'handler_missing', handler: 'renamed' })
})

test('requests at the same time read the store once', async () => {
  let reads = 0
  const store = { ...parts().store, counts: async () => ({ ...counts, reads: ++reads }) }
  const read = createReadStatus(parts({ store }))
  await Promise.all([read(), read(), read()])
  expect(reads).toBe(1)
})

test('callers that ask while the status is read share that one reading, however long it takes', async () => {
  let read = 0
  let answer: (found: Counts) => void = () => {}
  const slow = () => {
    read++
    return new Promise<Counts>((resolve) => {
      answer = resolve
    })
  }
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
  onTestFinished(() => clock.mockRestore())
  const status = createReadStatus(parts({ store: { ...parts().store, counts: slow } }))
  const first = status()
  clock.mockReturnValue(1_900)
  const second = status()
  answer(counts)
  expect(await second).toBe(await first)
  expect(read).toBe(1)
  clock.mockReturnValue(2_800)
  await status()
  expect(read).toBe(1)
})

import { describe, expect, test } from 'vitest'
import { createMetrics, type MetricsOptions } from '../../src/app/metrics.ts'
import type { ServiceStatus } from '../../src/domain/status.ts'
import { VERSION } from '../../src/domain/version.ts'

const COUNTS = {
  deliveries: { pending: 3, running: 1, succeeded: 7, dead: 2, discarded: 0 },
  oldestDueAtMs: 90_000,
  tasks: { submitting: 1, pending: 5, completed: 9, failed: 2, cancelled: 0, expired: 4 },
}

const HEALTH = {
  lastWebhookAtMs: 2_500,
  usualGapMs: 60_000,
  silentSinceMs: 2_500,
  refusingSinceMs: undefined,
  refusingReason: undefined,
}

const HANDLERS = [
  { name: 'billing', types: ['invoice.*'] },
  { name: 'log', types: ['completion.finished'] },
]

const deadCause = (count: number) => ({
  id: `c${count}`,
  signature: 'no',
  handler: 'billing',
  source: 'stripe',
  count,
  isCapped: false,
  firstAtMs: 0,
  lastAtMs: 0,
  hourly: [],
})

const create = (overrides: Partial<MetricsOptions> = {}) =>
  createMetrics({
    sources: () => new Set(['ai', 'stripe']),
    handlers: () => HANDLERS,
    counts: async () => COUNTS,
    deadCauses: async () => ({ causes: [2, 3].map(deadCause), unnamed: 1 }),
    droppedLogLines: () => 0,
    retention: () => ({ isHeld: false, deadExpiring: 6 }),
    clock: () => 100_000,
    ...overrides,
  })

/** The samples of one metric, as they stand in the text. */
const samples = (text: string, name: string): string[] =>
  text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))

describe('the metrics', () => {
  test('have the documented names and labels, beside those of the runtime', async () => {
    const { telemetry, text, contentType } = create({
      droppedLogLines: () => 4,
      storeSize: async () => ({ bytes: 4_096, freeBytes: 1e9 }),
      roles: async () => new Map([['worker', 2]]),
      watchedSources: () => [
        { source: 'ai', breaker: 'half_open', health: HEALTH },
        {
          source: 'stripe',
          breaker: null,
          health: { ...HEALTH, lastWebhookAtMs: undefined, silentSinceMs: undefined },
        },
      ],
    })
    telemetry.request('ai', 'accepted')
    telemetry.request('ai', 'accepted')
    telemetry.received('ai', 'completion.finished')
    telemetry.unhandled('ai')
    telemetry.acknowledged('ai', 0.004)
    telemetry.processed('ai', 'completion.finished', 'log', 0.02)
    telemetry.failed('stripe', 'invoice.paid', 'billing', 0.2)
    telemetry.started('ai', 'log', 0.3)
    telemetry.polled('ai', 'pending')
    telemetry.taskResolved('ai', 'poll')

    const scraped = await text()
    const ours = scraped.split('\n').filter((line) => line.startsWith('holdfast_') && !line.includes('_bucket{'))
    expect(ours.toSorted()).toEqual([
      'holdfast_ack_seconds_count{source="ai"} 1',
      'holdfast_ack_seconds_sum{source="ai"} 0.004',
      'holdfast_breaker_open{source="ai"} 1',
      `holdfast_build_info{version="${VERSION}"} 1`,
      'holdfast_clock_off_seconds 0',
      'holdfast_dead_expiring 6',
      'holdfast_dead{handler="billing",source="stripe"} 5',
      'holdfast_deliveries{state="dead"} 2',
      'holdfast_deliveries{state="discarded"} 0',
      'holdfast_deliveries{state="pending"} 3',
      'holdfast_deliveries{state="running"} 1',
      'holdfast_deliveries{state="succeeded"} 7',
      'holdfast_events_failed_total{source="stripe",type="invoice.paid",handler="billing"} 1',
      'holdfast_events_processed_total{source="ai",type="completion.finished",handler="log"} 1',
      'holdfast_events_received_total{source="ai",type="completion.finished"} 1',
      'holdfast_events_unhandled_total{source="ai"} 1',
      'holdfast_handler_seconds_count{handler="billing"} 1',
      'holdfast_handler_seconds_count{handler="log"} 1',
      'holdfast_handler_seconds_sum{handler="billing"} 0.2',
      'holdfast_handler_seconds_sum{handler="log"} 0.02',
      'holdfast_log_lines_dropped_total 4',
      'holdfast_oldest_pending_seconds 10',
      'holdfast_polls_total{source="ai",outcome="pending"} 1',
      'holdfast_queue_seconds_count{handler="log"} 1',
      'holdfast_queue_seconds_sum{handler="log"} 0.3',
      'holdfast_replicas{role="all"} 0',
      'holdfast_replicas{role="ingest"} 0',
      'holdfast_replicas{role="worker"} 2',
      'holdfast_requests_total{source="ai",outcome="accepted"} 2',
      'holdfast_retention_held 0',
      'holdfast_source_last_event_timestamp_seconds{source="ai"} 2.5',
      'holdfast_source_refusing{source="ai"} 0',
      'holdfast_source_refusing{source="stripe"} 0',
      'holdfast_source_silent{source="ai"} 1',
      'holdfast_source_silent{source="stripe"} 0',
      'holdfast_store_bytes 4096',
      'holdfast_store_free_bytes 1000000000',
      'holdfast_tasks_resolved_total{source="ai",by="poll"} 1',
      'holdfast_tasks{status="cancelled"} 0',
      'holdfast_tasks{status="completed"} 9',
      'holdfast_tasks{status="expired"} 4',
      'holdfast_tasks{status="failed"} 2',
      'holdfast_tasks{status="pending"} 5',
      'holdfast_tasks{status="submitting"} 1',
    ])
    expect(scraped).toContain('nodejs_eventloop_lag_seconds')
    for (const part of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'])
      expect(samples(scraped, `nodejs_eventloop_lag_${part}_seconds`)).toHaveLength(1)
    expect(scraped).toContain('process_cpu_seconds_total')
    expect(contentType).toContain('text/plain')
  })

  test('count each problem once, also where two scrapes come at the same time', async () => {
    const problem = { problem: 'backlog', severity: 'warning', summary: '', count: 3 } as const
    const { text } = create({ status: async () => ({ problems: [problem, problem] }) as unknown as ServiceStatus })
    const [one, other] = await Promise.all([text(), text()])
    for (const scrape of [one, other])
      expect(samples(scrape, 'holdfast_problems')).toContain('holdfast_problems{problem="backlog"} 2')
  })

  test('leave out a size that the store cannot tell', async () => {
    const unknown = create({ storeSize: async () => ({ bytes: 7, freeBytes: undefined }) })
    expect(samples(await unknown.text(), 'holdfast_store_bytes')).toEqual(['holdfast_store_bytes 7'])
    expect(samples(await unknown.text(), 'holdfast_store_free_bytes')).toEqual([])
    const lost = create({ storeSize: async () => Promise.reject(new Error('unavailable')) })
    expect(samples(await lost.text(), 'holdfast_store_bytes')).toEqual([])
  })

  test('show how long the event loop was delayed since the last scrape', async () => {
    const { text } = create()
    const longest = async (): Promise<number> =>
      Number(samples(await text(), 'nodejs_eventloop_lag_max_seconds')[0]?.split(' ')[1])
    // A turn is measured when it is over.
    const turns = async (): Promise<void> => {
      for (let n = 0; n < 3; n++) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await text()
    await turns()
    const until = performance.now() + 500
    while (performance.now() < until);
    await turns()
    const held = await longest()
    expect(held).toBeGreaterThan(0.45)
    expect(held).toBeLessThan(50)
    // On a busy machine other turns may be long too, but not for ever.
    const later = async (): Promise<number> => {
      await turns()
      return longest()
    }
    await expect.poll(later).toBeLessThan(0.45)
  })

  test('show how many warnings the store has', async () => {
    const { text } = create({ storeWarnings: () => ['the database is damaged'] })
    expect(samples(await text(), 'holdfast_store_warnings')).toEqual(['holdfast_store_warnings 1'])
  })

  test('are numbers in every scrape, even if nothing has happened since the last one', async () => {
    const { text } = create({ counts: async () => ({ ...COUNTS, oldestDueAtMs: undefined }) })
    const scrapes = [await text(), await text(), ...(await Promise.all([text(), text()]))]
    const values = scrapes.flatMap((scrape) =>
      scrape
        .split('\n')
        .flatMap((line) => (line === '' || line.startsWith('#') ? [] : [line.slice(line.lastIndexOf(' '))])),
    )
    expect(values.length).toBeGreaterThan(200)
    expect(values.filter((value) => !Number.isFinite(Number(value)))).toEqual([])
  })

  test('get no label that a stranger has chosen, neither a source nor a type', async () => {
    const { telemetry, text } = create()
    for (let i = 0; i < 100; i++) {
      telemetry.request(`stranger-${i}`, 'unknown_source')
      telemetry.request(undefined, 'unknown_source')
      telemetry.received('ai', `strange.type.${i}`)
    }
    const scraped = await text()
    expect(samples(scraped, 'holdfast_requests_total')).toEqual([
      'holdfast_requests_total{source="_unknown",outcome="unknown_source"} 200',
    ])
    expect(samples(scraped, 'holdfast_events_received_total')).toEqual([
      'holdfast_events_received_total{source="ai",type="other"} 100',
    ])
  })

  test('count by name the types of the catalogue and those that a handler’s pattern matches', async () => {
    const { telemetry, text } = create()
    telemetry.received('ai', 'batch.completed')
    telemetry.received('ai', 'invoice.paid')
    telemetry.received('ai', 'constructor')
    expect(samples(await text(), 'holdfast_events_received_total').toSorted()).toEqual([
      'holdfast_events_received_total{source="ai",type="batch.completed"} 1',
      'holdfast_events_received_total{source="ai",type="invoice.paid"} 1',
      'holdfast_events_received_total{source="ai",type="other"} 1',
    ])
  })

  test('count by name the types of handlers that register later', async () => {
    let handlers: typeof HANDLERS = []
    const { telemetry, text, summary } = create({ handlers: () => handlers })
    telemetry.received('ai', 'invoice.paid')
    handlers = HANDLERS
    telemetry.received('ai', 'invoice.paid')
    expect(samples(await text(), 'holdfast_events_received_total')).toEqual([
      'holdfast_events_received_total{source="ai",type="other"} 1',
      'holdfast_events_received_total{source="ai",type="invoice.paid"} 1',
    ])
    expect(summary().registered_handlers).toEqual(['billing', 'log'])
  })

  test('have a bounded number of labels with a handler of every type', async () => {
    const all = [{ name: 'all', types: ['*'] }]
    const { telemetry, text } = create({ handlers: () => all })
    for (let i = 0; i < 5_000; i++) telemetry.received('ai', `type.${i}`)
    const found = samples(await text(), 'holdfast_events_received_total')
    expect(found.length).toBeLessThanOrEqual(501)
    expect(found.find((line) => line.includes('type="other"'))).toBeDefined()
  })

  test('are scraped without the store’s gauges while the store does not answer', async () => {
    let broken = false
    const { text } = create({
      counts: async () => {
        if (broken) throw new Error('no store')
        return COUNTS
      },
    })
    expect(samples(await text(), 'holdfast_oldest_pending_seconds')).toHaveLength(1)
    broken = true
    const scraped = await text()
    expect(samples(scraped, 'holdfast_deliveries')).toEqual([])
    expect(samples(scraped, 'holdfast_tasks')).toEqual([])
    expect(samples(scraped, 'holdfast_oldest_pending_seconds')).toEqual([])
    expect(scraped).toContain('process_cpu_seconds_total')
  })

  test('show an age of 0 while no delivery is due', async () => {
    const { text } = create({ counts: async () => ({ ...COUNTS, oldestDueAtMs: undefined }) })
    expect(samples(await text(), 'holdfast_oldest_pending_seconds')).toEqual(['holdfast_oldest_pending_seconds 0'])
  })
})

test('the summary counts since the start, with the mean over all attempts that ran', () => {
  const { telemetry, summary } = create()
  expect(summary()).toMatchObject({ events_received: 0, avg_processing_time_ms: 0 })
  telemetry.received('ai', 'a')
  telemetry.received('ai', 'b')
  telemetry.unhandled('ai')
  telemetry.processed('ai', 'a', 'log', 0.1)
  telemetry.failed('ai', 'a', 'log', 0.3)
  expect(summary()).toEqual({
    events_received: 2,
    events_processed: 1,
    events_failed: 1,
    unhandled_events: 1,
    avg_processing_time_ms: 200,
    registered_handlers: ['billing', 'log'],
  })
})

test('the summary rounds the mean to the microsecond', () => {
  const { telemetry, summary } = create()
  for (const seconds of [0.824107, 0.000001, 0.0000014]) telemetry.processed('ai', 'a', 'log', seconds)
  expect(summary().avg_processing_time_ms).toBe(274.703)
})

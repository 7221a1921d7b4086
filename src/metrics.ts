import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { catalogue } from './domain/catalogue.ts'
import { type Clock, systemClock } from './domain/clock.ts'
import { DELIVERY_STATES } from './domain/delivery.ts'
import { compilePatterns } from './domain/pattern.ts'
import type { Counts } from './domain/store.ts'
import { TASK_STATUSES } from './domain/task.ts'
import type { RequestOutcome, Telemetry } from './domain/telemetry.ts'

/** What `source` says where no configured source was meant. Source names have no underscore, so none is called this. */
const NO_SOURCE = '_unknown'
/** What `type` says for a type that nothing knows. */
const OTHER_TYPE = 'other'
/** Distinct types counted by name: a handler of `*` knows any type, and labels must not grow without end. */
const MAX_TYPES = 500

/** Seconds; an acknowledgement is a few milliseconds, a handler may take its whole deadline. */
const ACK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const HANDLER_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** The longest that a timer takes: 24 days. */
const NEVER_MS = 2 ** 31 - 1
/** Of what time the share is taken in which the event loop was busy; the library would wake every 100 ms. */
const UTILIZATION_INTERVAL_MS = 5_000

export interface MetricsOptions {
  /** Names of the configured sources. */
  readonly sources: readonly string[]
  /** Those that there are now. */
  readonly handlers: () => readonly { readonly name: string; readonly types: readonly string[] }[]
  readonly counts: () => Promise<Counts>
  /** Log lines dropped since the start because nobody read them. */
  readonly droppedLogLines: () => number
  readonly clock?: Clock
}

/** Since the start of the process. */
export interface MetricsSummary {
  readonly events_received: number
  readonly events_processed: number
  readonly events_failed: number
  readonly unhandled_events: number
  readonly avg_processing_time_ms: number
  readonly registered_handlers: readonly string[]
}

export interface Metrics {
  readonly telemetry: Telemetry
  readonly contentType: string
  /** In the Prometheus text format. Leaves out what the store cannot tell at the moment. */
  readonly text: () => Promise<string>
  readonly summary: () => MetricsSummary
}

/** Every instrument, in a registry of its own. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry()
  const forgetDelays = collectRuntimeMetrics(registry)
  const total = { received: 0, processed: 0, failed: 0, unhandled: 0, runs: 0, runSeconds: 0 }
  const telemetry = createTelemetry(createInstruments(registry), options, total)
  const refreshStoreGauges = storeGauges(registry, options)
  new Counter({
    name: 'holdfast_log_lines_dropped_total',
    help: 'Log lines dropped because the output did not take them.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(options.droppedLogLines())
    },
  })

  return {
    contentType: registry.contentType,
    telemetry,
    text: async () => {
      await refreshStoreGauges()
      const text = await registry.metrics()
      forgetDelays()
      return text
    },
    summary: () => ({
      events_received: total.received,
      events_processed: total.processed,
      events_failed: total.failed,
      unhandled_events: total.unhandled,
      avg_processing_time_ms: total.runs === 0 ? 0 : (total.runSeconds * 1000) / total.runs,
      registered_handlers: options.handlers().map(({ name }) => name),
    }),
  }
}

/**
 * The runtime's own metrics. The library finds out the delays of the event loop by a timer of 10 ms, which alone costs an
 * idle service more than all else; here the loop's own turns are measured. Returns what is to be called after each scrape.
 */
function collectRuntimeMetrics(registry: Registry): () => void {
  collectDefaultMetrics({
    register: registry,
    eventLoopMonitoringPrecision: NEVER_MS,
    eventLoopUtilizationTimeout: UTILIZATION_INTERVAL_MS,
  })
  const turns = monitorEventLoopDelay({ samplePerIteration: true })
  turns.enable()
  const gauges = {
    min: { help: 'The minimum', nanoseconds: () => turns.min },
    max: { help: 'The maximum', nanoseconds: () => turns.max },
    mean: { help: 'The mean of the', nanoseconds: () => turns.mean },
    stddev: { help: 'The standard deviation of the', nanoseconds: () => turns.stddev },
    p50: { help: 'The 50th percentile of the', nanoseconds: () => turns.percentile(50) },
    p90: { help: 'The 90th percentile of the', nanoseconds: () => turns.percentile(90) },
    p99: { help: 'The 99th percentile of the', nanoseconds: () => turns.percentile(99) },
  }
  for (const [part, { help, nanoseconds }] of Object.entries(gauges)) {
    const name = `nodejs_eventloop_lag_${part}_seconds`
    registry.removeSingleMetric(name)
    new Gauge({
      name,
      help: `${help} recorded event loop delays.`,
      registers: [registry],
      collect() {
        this.set(turns.count === 0 ? 0 : nanoseconds() / 1e9)
      },
    })
  }
  return () => turns.reset()
}

function createInstruments(registry: Registry) {
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name: `holdfast_${name}_total`, help, labelNames, registers })
  const histogram = <Label extends string>(name: string, help: string, buckets: number[], ...labelNames: Label[]) =>
    new Histogram({ name: `holdfast_${name}_seconds`, help, buckets, labelNames, registers })
  return {
    requests: counter('requests', 'Requests to webhook paths.', 'source', 'outcome'),
    received: counter('events_received', 'Events kept.', 'source', 'type'),
    unhandled: counter('events_unhandled', 'Events kept that no handler wants.', 'source'),
    processed: counter('events_processed', 'Deliveries that succeeded.', 'source', 'type', 'handler'),
    failed: counter('events_failed', 'Attempts that failed.', 'source', 'type', 'handler'),
    ack: histogram('ack', 'From the arrival of a request to the commit of its event.', ACK_BUCKETS, 'source'),
    polls: counter('polls', 'Questions to providers about tasks.', 'source', 'outcome'),
    resolved: counter('tasks_resolved', 'Tasks that ended, by what told of it.', 'source', 'by'),
    run: histogram('handler', 'Duration of attempts.', HANDLER_BUCKETS, 'handler'),
  }
}

function createTelemetry(
  { requests, received, unhandled, processed, failed, ack, polls, resolved, run }: ReturnType<typeof createInstruments>,
  { sources, handlers }: MetricsOptions,
  total: Record<'received' | 'processed' | 'failed' | 'unhandled' | 'runs' | 'runSeconds', number>,
): Telemetry {
  const configured = new Set(sources)
  const sourceLabel = (source: string | undefined) =>
    source !== undefined && configured.has(source) ? source : NO_SOURCE
  const typeLabel = boundedTypes(handlers)
  const requestsOf = memo(sourceLabel, (source) =>
    memo(same<RequestOutcome>, (outcome) => requests.labels(source, outcome)),
  )
  const receivedOf = memo(sourceLabel, (source) => memo(typeLabel, (type) => received.labels(source, type)))
  const unhandledOf = memo(sourceLabel, (source) => unhandled.labels(source))
  const ackOf = memo(sourceLabel, (source) => ack.labels(source))
  const runOf = memo(same<string>, (handler) => run.labels(handler))
  const byHandler = (counter: typeof processed) =>
    memo(sourceLabel, (source) =>
      memo(typeLabel, (type) => memo(same<string>, (handler) => counter.labels(source, type, handler))),
    )
  const processedOf = byHandler(processed)
  const failedOf = byHandler(failed)

  const ran = (handler: string, seconds: number): void => {
    total.runs++
    total.runSeconds += seconds
    runOf(handler).observe(seconds)
  }

  return {
    request: (source, outcome) => requestsOf(source)(outcome).inc(),
    acknowledged: (source, seconds) => ackOf(source).observe(seconds),
    received: (source, type) => {
      total.received++
      receivedOf(source)(type).inc()
    },
    unhandled: (source) => {
      total.unhandled++
      unhandledOf(source).inc()
    },
    processed: (source, type, handler, seconds) => {
      total.processed++
      processedOf(source)(type)(handler).inc()
      ran(handler, seconds)
    },
    failed: (source, type, handler, seconds) => {
      total.failed++
      failedOf(source)(type)(handler).inc()
      if (seconds !== undefined) ran(handler, seconds)
    },
    polled: (source, outcome) => polls.labels(sourceLabel(source), outcome).inc(),
    taskResolved: (source, by) => resolved.labels(sourceLabel(source), by).inc(),
  }
}

const same = <Label extends string>(label: Label): Label => label

/** Resolves each label once: what is left of a count is a lookup and an addition. Bounded by what `label` can give. */
function memo<Key extends string | undefined, Label extends string, Child>(
  label: (key: Key) => Label,
  make: (label: Label) => Child,
): (key: Key) => Child {
  const children = new Map<Label, Child>()
  return (key) => {
    const name = label(key)
    const known = children.get(name)
    if (known !== undefined) return known
    const child = make(name)
    children.set(name, child)
    return child
  }
}

function boundedTypes(handlers: MetricsOptions['handlers']): (type: string) => string {
  const known = new Set<string>(Object.keys(catalogue))
  let compiled: ReturnType<MetricsOptions['handlers']> = []
  let isHandled = compilePatterns([])
  return (type) => {
    if (known.has(type)) return type
    const current = handlers()
    if (current !== compiled) isHandled = compilePatterns(current.flatMap(({ types }) => types))
    compiled = current
    if (known.size >= MAX_TYPES || !isHandled(type)) return OTHER_TYPE
    known.add(type)
    return type
  }
}

/** The gauges that only the store can tell; absent from a scrape that it cannot answer. */
function storeGauges(registry: Registry, { counts, clock = systemClock }: MetricsOptions): () => Promise<void> {
  const registers = [registry]
  const deliveries = new Gauge({
    name: 'holdfast_deliveries',
    help: 'Deliveries by state.',
    labelNames: ['state'],
    registers,
  })
  const oldest = new Gauge({
    name: 'holdfast_oldest_pending_seconds',
    help: 'How long the oldest due delivery has been due.',
    registers,
  })
  const tasks = new Gauge({ name: 'holdfast_tasks', help: 'Tasks by status.', labelNames: ['status'], registers })
  return async () => {
    try {
      const found = await counts()
      for (const status of TASK_STATUSES) tasks.set({ status }, found.tasks[status])
      for (const state of DELIVERY_STATES) deliveries.set({ state }, found.deliveries[state])
      oldest.set(found.oldestDueAtMs === undefined ? 0 : Math.max(0, clock() - found.oldestDueAtMs) / 1000)
    } catch {
      tasks.reset()
      deliveries.reset()
      oldest.remove()
    }
  }
}

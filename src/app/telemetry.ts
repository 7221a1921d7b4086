import { Counter, Histogram, type Registry } from '@prometheus-io/client'
import { catalogue } from '../domain/event-catalogue.ts'
import type { RequestOutcome, Telemetry } from '../domain/telemetry.ts'
import { compilePatterns } from '../pipeline/type-routes.ts'
import type { MetricsOptions } from './metrics.ts'

/** The label `source` of requests to sources that are not configured. Source names have no underscore, so no source has this name. */
const NO_SOURCE = '_unknown'

/** Seconds; an acknowledgement is a few milliseconds, a handler may take its whole deadline. */
const ACK_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const HANDLER_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** From a free process to a backlog of hours. */
const QUEUE_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 21_600]

export function createInstruments(registry: Registry) {
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name: `holdfast_${name}_total`, help, labelNames, registers })
  const histogram = <Label extends string>(name: string, help: string, buckets: number[], ...labelNames: Label[]) =>
    new Histogram({ name: `holdfast_${name}_seconds`, help, buckets, labelNames, registers })
  return {
    requests: counter('requests', 'Requests to webhook paths, by outcome.', 'source', 'outcome'),
    received: counter(
      'events_received',
      'Events stored, of any status; a duplicate is not stored again.',
      'source',
      'type',
    ),
    unhandled: counter('events_unhandled', 'Events stored that no handler wants.', 'source'),
    processed: counter('events_processed', 'Attempts that succeeded.', 'source', 'type', 'handler'),
    failed: counter(
      'events_failed',
      'Attempts that failed; each one counts, also if the delivery is retried.',
      'source',
      'type',
      'handler',
    ),
    ack: histogram('ack', 'From the arrival of a request to its acknowledgement.', ACK_BUCKETS, 'source'),
    polls: counter('polls', 'Polls: requests that ask a provider for the state of a task.', 'source', 'outcome'),
    drift: counter(
      'drift',
      'Changes in the shape of payloads: a path is new, has vanished, or has another kind of values.',
      'source',
      'type',
    ),
    resolved: counter('tasks_resolved', 'Tasks that ended, by what reported the end.', 'source', 'by'),
    queue: histogram('queue', 'From the time at which a delivery was due to its start.', QUEUE_BUCKETS, 'handler'),
    run: histogram('handler', 'Duration of attempts, succeeded and failed.', HANDLER_BUCKETS, 'handler'),
  }
}

export function createTelemetry(
  {
    requests,
    received,
    unhandled,
    processed,
    failed,
    ack,
    polls,
    resolved,
    drift,
    run,
    queue,
  }: ReturnType<typeof createInstruments>,
  { sources, handlers }: MetricsOptions,
  total: Record<'received' | 'processed' | 'failed' | 'unhandled' | 'runs' | 'runSeconds', number>,
): Telemetry {
  const sourceLabel = (source: string | undefined) =>
    source !== undefined && sources().has(source) ? source : NO_SOURCE
  const typeLabel = boundedTypes(handlers)
  const requestsOf = memo(sourceLabel, (source) =>
    memo(unchanged<RequestOutcome>, (outcome) => requests.labels(source, outcome)),
  )
  const receivedOf = memo(sourceLabel, (source) => memo(typeLabel, (type) => received.labels(source, type)))
  const unhandledOf = memo(sourceLabel, (source) => unhandled.labels(source))
  const ackOf = memo(sourceLabel, (source) => ack.labels(source))
  const runOf = memo(unchanged<string>, (handler) => run.labels(handler))
  const queueOf = memo(unchanged<string>, (handler) => queue.labels(handler))
  const byHandler = (counter: typeof processed) =>
    memo(sourceLabel, (source) =>
      memo(typeLabel, (type) => memo(unchanged<string>, (handler) => counter.labels(source, type, handler))),
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
      ran(handler, seconds)
    },
    started: (_source, handler, seconds) => queueOf(handler).observe(seconds),
    // `holdfast_deliveries` and the numbers over time have it.
    dead: () => {},
    polled: (source, outcome) => polls.labels(sourceLabel(source), outcome).inc(),
    drifted: (source, type) => drift.labels(sourceLabel(source), typeLabel(type)).inc(),
    taskResolved: (source, by) => resolved.labels(sourceLabel(source), by).inc(),
  }
}

/** The label `type` of unknown types. */
const OTHER_TYPE = 'other'
/** How many types have a label of their own: a handler of `*` accepts any type, and the number of labels must be bounded. */
const MAX_TYPES = 500

const unchanged = <Label extends string>(label: Label): Label => label

/** Resolves each label once, so that later counts only need a lookup. Holds one entry per result of `label`. */
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

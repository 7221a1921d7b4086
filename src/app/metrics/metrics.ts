import { Counter, Gauge, Registry } from '@prometheus-io/client'
import type { Telemetry } from '../../domain/telemetry.ts'
import type { MetricsOptions } from './options.ts'
import { collectRuntimeMetrics } from './runtime.ts'
import { storeGauges } from './store-gauges.ts'
import { createInstruments, createTelemetry } from './telemetry.ts'

/** Since the start of the process. */
export interface MetricsSummary {
  /** Events kept, whatever their status. */
  readonly events_received: number
  /** Attempts that succeeded. */
  readonly events_processed: number
  /** Attempts that failed. */
  readonly events_failed: number
  readonly unhandled_events: number
  /** The mean over both kinds of attempts, to the microsecond. */
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
  new Gauge({
    name: 'holdfast_clock_off_seconds',
    help: "By how much this process's clock is ahead of its senders' (below zero: behind), where it is held for off; else 0.",
    registers: [registry],
    collect() {
      this.set(options.clockOffSeconds?.() ?? 0)
    },
  })
  new Counter({
    name: 'holdfast_log_lines_dropped_total',
    help: 'Log lines dropped because the output did not take them, or handlers wrote too fast.',
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
      avg_processing_time_ms: total.runs === 0 ? 0 : toMicroseconds((total.runSeconds * 1000) / total.runs),
      registered_handlers: options.handlers().map(({ name }) => name),
    }),
  }
}

const toMicroseconds = (ms: number): number => Math.round(ms * 1000) / 1000

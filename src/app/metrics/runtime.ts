import { monitorEventLoopDelay } from 'node:perf_hooks'
import { collectDefaultMetrics, Gauge, type Registry } from '@prometheus-io/client'

/** The longest that a timer takes: 24 days. */
const NEVER_MS = 2 ** 31 - 1
/** Of what time the share is taken in which the event loop was busy; the library would wake every 100 ms. */
const UTILIZATION_INTERVAL_MS = 5_000

/**
 * The runtime's own metrics. The library finds out the delays of the event loop by a timer of 10 ms, which alone costs an
 * idle service more than all else; here the loop's own turns are measured. Returns what is to be called after each scrape.
 */
export function collectRuntimeMetrics(registry: Registry): () => void {
  collectDefaultMetrics({
    register: registry,
    eventLoopMonitoringPrecision: NEVER_MS,
    eventLoopUtilizationTimeout: UTILIZATION_INTERVAL_MS,
  })
  const turns = monitorEventLoopDelay({ samplePerIteration: true })
  turns.enable()
  const gauges = {
    min: { help: 'Minimum', nanoseconds: () => turns.min },
    max: { help: 'Maximum', nanoseconds: () => turns.max },
    mean: { help: 'Mean', nanoseconds: () => turns.mean },
    stddev: { help: 'Standard deviation', nanoseconds: () => turns.stddev },
    p50: { help: '50th percentile', nanoseconds: () => turns.percentile(50) },
    p90: { help: '90th percentile', nanoseconds: () => turns.percentile(90) },
    p99: { help: '99th percentile', nanoseconds: () => turns.percentile(99) },
  }
  for (const [part, { help, nanoseconds }] of Object.entries(gauges)) {
    const name = `nodejs_eventloop_lag_${part}_seconds`
    registry.removeSingleMetric(name)
    new Gauge({
      name,
      help: `${help} of the event loop's delays since the last scrape; 0 if no turn has ended since.`,
      registers: [registry],
      collect() {
        this.set(turns.count === 0 ? 0 : nanoseconds() / 1e9)
      },
    })
  }
  return () => turns.reset()
}

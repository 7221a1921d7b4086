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

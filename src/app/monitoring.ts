import type { SourceConfig } from '../domain/config.ts'
import { type Telemetry, toBoth } from '../domain/telemetry.ts'
import { createReadDay } from '../monitoring/read-day.ts'
import { createReadRecentStats } from '../monitoring/read-recent-stats.ts'
import { createReadStats } from '../monitoring/read-stats.ts'
import { SourceMonitor } from '../monitoring/source-monitor.ts'
import { StatsRecorder } from '../monitoring/stats-recorder.ts'
import type { WiringInputs } from './wiring.ts'

/** The numbers over time, and the watch over the sources. `sources`: those that are configured now. */
export function wireMonitoring(
  { config, store, clock, log, tuning }: WiringInputs,
  sources: () => { readonly byName: { has(name: string): boolean }; readonly configs: readonly SourceConfig[] },
) {
  const recorder = new StatsRecorder({
    store,
    sources: () => sources().byName,
    receives: config.role !== 'worker',
    clock,
  })
  const monitor = new SourceMonitor({
    store,
    recorder,
    sources: () => sources().configs,
    clock,
    log,
    ...(tuning.monitorMs !== undefined && { passMs: tuning.monitorMs }),
  })
  const isOff = tuning.without?.has('stats') === true
  return {
    readDay: createReadDay(store, clock),
    readRecentStats: createReadRecentStats(store, clock),
    readStats: createReadStats(store, clock),
    healthOf: monitor.healthOf,
    /** Tells the metrics and the numbers over time. */
    telling: (metrics: Telemetry): Telemetry => (isOff ? metrics : toBoth(metrics, recorder)),
    start: (): void => {
      if (isOff) return
      recorder.start()
      monitor.start()
    },
    /** Hands the store the last numbers, which it commits before it closes. */
    stop: (): void => {
      monitor.stop()
      if (!isOff) recorder.stop()
    },
  }
}

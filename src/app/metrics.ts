import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Registry } from '@prometheus-io/client'
import { type Clock, systemClock } from '../domain/clock.ts'
import type { Role } from '../domain/config.ts'
import { type DeadCauses, MAX_COUNTED } from '../domain/dead-letters.ts'
import { DELIVERY_STATES } from '../domain/delivery.ts'
import type { LastReload } from '../domain/reload.ts'
import type { SecretUse } from '../domain/source.ts'
import type { ReadStatus } from '../domain/status.ts'
import type { Counts, StoreSize } from '../domain/store-health.ts'
import { TASK_STATUSES } from '../domain/task.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import { VERSION } from '../domain/version.ts'
import { type PauseMetrics, pauseGauges } from './pause-metrics.ts'
import { replicaGauge, sizeGauges, sourceGauges, type WatchedSource } from './source-metrics.ts'
import { problemGauge } from './status.ts'
import { createInstruments, createTelemetry } from './telemetry.ts'

/** What the process has counted since its start. */
interface MetricsSummary {
  /** Events that were stored, of any status. */
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
  /** Gives the metrics in the Prometheus text format, without those that the store cannot give now. */
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
    name: 'holdfast_build_info',
    help: '1, with the version of Holdfast.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version: VERSION }, 1)
  new Gauge({
    name: 'holdfast_clock_off_seconds',
    help: "Seconds that this process's clock is ahead of its senders' clocks (below zero: behind) while it counts as off; else 0.",
    registers: [registry],
    collect() {
      this.set(options.clockOffSeconds?.() ?? 0)
    },
  })
  new Counter({
    name: 'holdfast_log_lines_dropped_total',
    help: 'Log lines dropped because stdout did not accept them, or because handlers wrote too fast.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(options.droppedLogLines())
    },
  })

  const refreshSize = options.storeSize === undefined ? undefined : sizeGauges([registry], options.storeSize)
  const refreshReplicas = options.roles === undefined ? undefined : replicaGauge([registry], options.roles)
  if (options.watchedSources !== undefined) sourceGauges([registry], options.watchedSources)
  if (options.secretUses !== undefined) secretGauge([registry], options.secretUses)
  if (options.paused !== undefined) pauseGauges([registry], options.paused)
  if (options.lastReload !== undefined) reloadGauges([registry], options.lastReload)
  const refreshProblems = options.status === undefined ? undefined : problemGauge([registry], options.status)

  return {
    contentType: registry.contentType,
    telemetry,
    text: async () => {
      await Promise.all([refreshStoreGauges(), refreshSize?.(), refreshReplicas?.(), refreshProblems?.()])
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

export interface MetricsOptions {
  /** The configured sources, by name. */
  readonly sources: () => { has(name: string): boolean }
  /** The handlers that are known now. */
  readonly handlers: () => readonly { readonly name: string; readonly types: readonly string[] }[]
  readonly counts: () => Promise<Counts>
  /** How many processes of each role run. */
  readonly roles?: () => Promise<ReadonlyMap<Role, number>>
  readonly storeSize?: () => Promise<StoreSize>
  /** The dead deliveries by cause. */
  readonly deadCauses?: () => Promise<DeadCauses>
  readonly watchedSources?: () => readonly WatchedSource[]
  /** The store's warnings, such as damage. */
  readonly storeWarnings?: () => readonly string[]
  /** How many seconds this process's clock is ahead of its senders', while it counts as off; otherwise 0. */
  readonly clockOffSeconds?: () => number
  /** Log lines dropped since the start. */
  readonly droppedLogLines: () => number
  /** How the secrets of each source have verified. */
  readonly secretUses?: () => readonly { readonly source: string; readonly uses: readonly SecretUse[] }[]
  /** The service at a glance. */
  readonly status?: ReadStatus
  readonly paused?: PauseMetrics
  /** The last reload of the configuration. */
  readonly lastReload?: () => LastReload
  /** The state of retention; undefined if this process does not do it. */
  readonly retention?: () => { readonly isHeld: boolean; readonly deadExpiring: number | undefined } | undefined
  readonly clock?: Clock
}

/** The longest possible timer: 24 days. */
const NEVER_MS = 2 ** 31 - 1
/** The interval over which the utilization of the event loop is measured; the library's default would wake every 100 ms. */
const UTILIZATION_INTERVAL_MS = 5_000

/**
 * The runtime's own metrics. The library measures the delays of the event loop with a timer of 10 ms, which costs an idle service
 * more than everything else. So this function measures each turn of the loop instead. The caller calls the returned function after
 * each scrape, which starts a new measurement.
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

/**
 * The gauges whose values come from the store. The caller awaits the returned function before each scrape. If the store cannot
 * answer, the scrape does not have these gauges.
 */
function storeGauges(
  registry: Registry,
  { counts, deadCauses, storeWarnings, retention, clock = systemClock }: MetricsOptions,
): () => Promise<void> {
  const registers = [registry]
  if (storeWarnings !== undefined) warningGauge(registers, storeWarnings)
  const deliveries = new Gauge({
    name: 'holdfast_deliveries',
    help: 'Deliveries in the store, by state.',
    labelNames: ['state'],
    registers,
  })
  const oldest = new Gauge({
    name: 'holdfast_oldest_pending_seconds',
    help: 'How long the delivery that has been due longest has been due; 0 if no delivery is due.',
    registers,
  })
  const tasks = new Gauge({
    name: 'holdfast_tasks',
    help: 'Tasks in the store, by status.',
    labelNames: ['status'],
    registers,
  })
  if (retention !== undefined) retentionGauges(registers, retention)
  const setDead = deadCauses && deadGauge(registers, deadCauses)
  return async () => {
    await setDead?.()
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

/** The caller awaits the returned function before each scrape. */
function deadGauge(registers: Registry[], deadCauses: () => Promise<DeadCauses>): () => Promise<void> {
  const dead = new Gauge({
    name: 'holdfast_dead',
    help: `Dead deliveries, by handler and source; at most ${MAX_COUNTED} of each cause are counted.`,
    labelNames: ['handler', 'source'],
    registers,
  })
  return async () => {
    const found = await deadCauses().catch(() => undefined)
    dead.reset()
    for (const { handler, source, count } of found?.causes ?? []) dead.inc({ handler, source }, count)
  }
}

function warningGauge(registers: Registry[], warnings: () => readonly string[]): void {
  new Gauge({
    name: 'holdfast_store_warnings',
    help: 'Warnings of the store about damage and missing events; the readiness route of the ops listener shows them.',
    registers,
    collect() {
      this.set(warnings().length)
    },
  })
}

function secretGauge(registers: Registry[], secretUses: NonNullable<MetricsOptions['secretUses']>): void {
  new Gauge({
    name: 'holdfast_source_secret_last_verified_timestamp_seconds',
    help: 'When a secret of a source last verified a webhook of this process; 0: not since its start. `place` 1 is the newest.',
    labelNames: ['source', 'place'],
    registers,
    collect() {
      this.reset()
      for (const { source, uses } of secretUses()) {
        for (const { place, lastVerifiedAtMs = 0 } of uses)
          this.set({ source, place: String(place) }, lastVerifiedAtMs / 1000)
      }
    },
  })
}

function reloadGauges(registers: Registry[], last: () => LastReload): void {
  new Gauge({
    name: 'holdfast_config_last_reload_successful',
    help: '1 if the last reload of the configuration succeeded, or there was none; 0 if it was refused.',
    registers,
    collect() {
      this.set(last().ok ? 1 : 0)
    },
  })
  new Gauge({
    name: 'holdfast_config_last_reload_success_timestamp_seconds',
    help: 'When the configuration in use was loaded: at the start, or by the last reload that succeeded.',
    registers,
    collect() {
      this.set(last().succeededAtMs / 1000)
    },
  })
}

function retentionGauges(registers: Registry[], retention: NonNullable<MetricsOptions['retention']>): void {
  new Gauge({
    name: 'holdfast_dead_expiring',
    help: 'Dead deliveries that retention will delete within a day.',
    registers,
    collect() {
      const deadExpiring = retention()?.deadExpiring
      if (deadExpiring === undefined) this.remove()
      else this.set(deadExpiring)
    },
  })
  new Gauge({
    name: 'holdfast_retention_held',
    help: '1 while retention deletes nothing because the clock seems to have jumped; otherwise 0.',
    registers,
    collect() {
      const state = retention()
      if (state === undefined) this.remove()
      else this.set(state.isHeld ? 1 : 0)
    },
  })
}

import { Gauge, type Registry } from '@prometheus-io/client'
import type { ReadDeadCauses } from '../domain/dead-letters.ts'
import type { PauseService } from '../domain/pause.ts'
import { PROBLEMS } from '../domain/problem.ts'
import type { RetentionService } from '../domain/retention.ts'
import type { SourceHealth } from '../domain/source-health.ts'
import type { ReadStatus } from '../domain/status.ts'
import { createReadStatus } from '../monitoring/read-status.ts'
import type { ClockWatch } from '../pipeline/clock-watch.ts'
import type { Reloader } from './reload.ts'
import type { WiringInputs } from './wiring.ts'

interface Watches {
  readonly retention: Pick<RetentionService, 'warnings'>
  readonly clockWatch: Pick<ClockWatch, 'offSeconds'>
  readonly monitoring: { readonly healthOf: (source: string) => SourceHealth }
  readonly deadCauses: ReadDeadCauses
  readonly pauses: Pick<PauseService, 'list' | 'isDraining'>
}

/** Reads the service at a glance from all of its parts. */
export const statusOf = (
  { config, store, routed, clock }: Pick<WiringInputs, 'config' | 'store' | 'routed' | 'clock'>,
  { retention, clockWatch, monitoring, deadCauses, pauses }: Watches,
  reloader: () => Pick<Reloader, 'current' | 'last'>,
): ReadStatus =>
  createReadStatus({
    store,
    kind: store.replicas === undefined ? 'sqlite' : 'postgres',
    role: config.role,
    routeFaults: routed.faults,
    retentionWarnings: () => retention.warnings(),
    clockOffSeconds: () => clockWatch.offSeconds(),
    lastReload: () => reloader().last,
    pauses,
    sources: () => [...reloader().current.parts.sources.keys()],
    sourceState: (source) => reloader().current.tasks.stateOf(source),
    sourceHealth: monitoring.healthOf,
    deadCauses: () => deadCauses({}),
    handlers: routed.handlers,
    clock,
  })

/** The problems that `GET /v1/status` names. The caller awaits the returned function before each scrape. */
export function problemGauge(registers: Registry[], status: ReadStatus): () => Promise<void> {
  const gauge = new Gauge({
    name: 'holdfast_problems',
    help: 'Problems that may need a hand, by what they are; /v1/status and holdfast status name each.',
    labelNames: ['problem'],
    registers,
  })
  return async () => {
    const { problems } = await status()
    for (const problem of PROBLEMS) gauge.set({ problem }, 0)
    for (const { problem } of problems) gauge.inc({ problem })
  }
}

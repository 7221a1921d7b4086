import { Gauge, type Registry } from '@prometheus-io/client'
import { systemClock } from '../../domain/clock.ts'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import { TASK_STATUSES } from '../../domain/task.ts'
import type { MetricsOptions } from './metrics.ts'

/** The gauges that only the store can tell; absent from a scrape that it cannot answer. */
export function storeGauges(
  registry: Registry,
  { counts, storeWarnings, upkeep, clock = systemClock }: MetricsOptions,
): () => Promise<void> {
  const registers = [registry]
  if (storeWarnings !== undefined) warningGauge(registers, storeWarnings)
  const deliveries = new Gauge({
    name: 'holdfast_deliveries',
    help: 'Deliveries of the events that are kept, by state.',
    labelNames: ['state'],
    registers,
  })
  const oldest = new Gauge({
    name: 'holdfast_oldest_pending_seconds',
    help: 'How long the oldest due delivery has been due; 0 if none is.',
    registers,
  })
  const tasks = new Gauge({
    name: 'holdfast_tasks',
    help: 'Tasks that are kept, by status.',
    labelNames: ['status'],
    registers,
  })
  if (upkeep !== undefined) retentionGauges(registers, upkeep)
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

function warningGauge(registers: Registry[], warnings: () => readonly string[]): void {
  new Gauge({
    name: 'holdfast_store_warnings',
    help: 'Warnings of the store, which the readiness route of the ops listener names: damage, missing events.',
    registers,
    collect() {
      this.set(warnings().length)
    },
  })
}

function retentionGauges(registers: Registry[], upkeep: NonNullable<MetricsOptions['upkeep']>): void {
  new Gauge({
    name: 'holdfast_dead_expiring',
    help: 'Dead deliveries that retention forgets within a day.',
    registers,
    collect() {
      const deadExpiring = upkeep()?.deadExpiring
      if (deadExpiring === undefined) this.remove()
      else this.set(deadExpiring)
    },
  })
  new Gauge({
    name: 'holdfast_retention_held',
    help: '1 while retention holds still since the clock seems to have jumped.',
    registers,
    collect() {
      const state = upkeep()
      if (state === undefined) this.remove()
      else this.set(state.isHeld ? 1 : 0)
    },
  })
}

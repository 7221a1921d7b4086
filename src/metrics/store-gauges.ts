import { Gauge, type Registry } from '@prometheus-io/client'
import { systemClock } from '../domain/clock.ts'
import { DELIVERY_STATES } from '../domain/delivery.ts'
import { TASK_STATUSES } from '../domain/task.ts'
import type { MetricsOptions } from './options.ts'

/** The gauges that only the store can tell; absent from a scrape that it cannot answer. */
export function storeGauges(registry: Registry, { counts, clock = systemClock }: MetricsOptions): () => Promise<void> {
  const registers = [registry]
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

import type { DatabaseSync } from 'node:sqlite'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import type { Counts } from '../../domain/store.ts'
import { TASK_STATUSES } from '../../domain/task.ts'
import { prepareOldestDue } from './next-due.ts'

export function prepareCounts(db: DatabaseSync): (nowMs: number) => Counts {
  const select = db.prepare('SELECT state, n FROM tally')
  const oldestDue = prepareOldestDue(db)
  return (nowMs) => {
    const tally = new Map(select.all().map(({ state, n }) => [state, Number(n)]))
    const pick = <State extends string>(states: readonly State[], prefix = '') =>
      Object.fromEntries(states.map((state) => [state, tally.get(prefix + state) ?? 0])) as Record<State, number>
    return {
      deliveries: pick(DELIVERY_STATES),
      oldestDueAtMs: oldestDue(nowMs),
      tasks: pick(TASK_STATUSES, 'task:'),
    }
  }
}

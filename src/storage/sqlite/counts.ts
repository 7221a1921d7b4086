import type { DatabaseSync } from 'node:sqlite'
import type { DeliveryState } from '../../domain/delivery.ts'
import type { Counts } from '../../domain/store.ts'
import { prepareOldestDue } from './next-due.ts'

export function prepareCounts(db: DatabaseSync): (nowMs: number) => Counts {
  const tally = db.prepare('SELECT state, n FROM tally')
  const oldestDue = prepareOldestDue(db)
  return (nowMs) => {
    const deliveries: Record<DeliveryState, number> = { pending: 0, running: 0, succeeded: 0, dead: 0 }
    for (const { state, n } of tally.all()) deliveries[state as DeliveryState] = Number(n)
    return { deliveries, oldestDueAtMs: oldestDue(nowMs) }
  }
}

import type { DatabaseSync } from 'node:sqlite'
import type { Counts } from '../../domain/store-health.ts'
import { countsOf } from '../records/deliveries.ts'
import { prepareOldestDue } from './next-due.ts'

export function prepareCounts(db: DatabaseSync): (nowMs: number) => Counts {
  const select = db.prepare('SELECT state, n FROM tally')
  const oldestDue = prepareOldestDue(db)
  return (nowMs) => countsOf(select.all() as { state: string; n: number }[], oldestDue(nowMs))
}

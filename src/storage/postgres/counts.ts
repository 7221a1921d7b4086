import type { Counts } from '../../domain/store-health.ts'
import { countsOf, MAX_UNSERVED } from '../shared/deliveries.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { unlessDamaged } from './errors.ts'

const TALLY = { name: 'tally', text: 'SELECT state, n FROM counts_1()' }
const OLDEST_DUE = {
  name: 'oldest-due',
  text: 'SELECT oldest_due_2(now) AS due_at, now FROM (SELECT clock_1($1) AS now) AS clock',
}
const FOLD = { name: 'fold-tally', text: 'SELECT fold_tally_1(clock_1($1))' }

/** One index search for each handler that is not served. */
const UNSERVED = {
  name: 'unserved',
  text: `
    SELECT h.name FROM known_handler AS h CROSS JOIN LATERAL (
      SELECT FROM delivery AS d WHERE d.state = 'pending' AND d.handler = h.name ORDER BY d.isolated, d.due_at LIMIT 1
    ) AS d
    WHERE h.name <> ALL ($1) ORDER BY h.name LIMIT ${MAX_UNSERVED}`,
}

export function createCounts(connections: Connections, clock: DatabaseClock) {
  return async (served?: readonly string[]): Promise<Counts> => {
    const rows = await connections.run<{ state: string; n: number }>('read', TALLY)
    const finding = connections.run<{ due_at: number | null; now: number }>('read', OLDEST_DUE, [clock.givenMs()])
    // If a damaged page hides the oldest due delivery, or others, the counts are still returned.
    const [oldest] = await unlessDamaged(finding, [])
    const oldestDueAtMs =
      oldest === undefined || oldest.due_at === null ? undefined : clock.localMs() + oldest.due_at - oldest.now
    const counts = countsOf(rows, oldestDueAtMs)
    if (served === undefined) return counts
    const unserved = await unlessDamaged(connections.run<{ name: string }>('read', UNSERVED, [served]), [])
    return { ...counts, unserved: unserved.map(({ name }) => name) }
  }
}

/** Sums up the rows that all replicas have added to the tally. */
export const foldTally = async (connections: Connections, clock: DatabaseClock): Promise<void> => {
  await connections.run('work', FOLD, [clock.givenMs()])
}

import { DELIVERY_STATES } from '../../domain/delivery.ts'
import type { Counts } from '../../domain/store.ts'
import { TASK_STATUSES } from '../../domain/task.ts'
import type { Connections } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'

const TALLY = { name: 'tally', text: 'SELECT state, sum(n)::bigint AS n FROM tally GROUP BY state' }
/** The oldest that is due, handler by handler through the index of what is pending. */
const OLDEST_DUE = {
  name: 'oldest-due',
  text: `
    WITH RECURSIVE clock AS MATERIALIZED (SELECT clock_1($1) AS now),
    waiting (handler) AS (
      (SELECT handler FROM delivery WHERE state = 'pending' ORDER BY handler LIMIT 1)
      UNION ALL
      SELECT (
        SELECT q.handler FROM delivery AS q WHERE q.state = 'pending' AND q.handler > w.handler ORDER BY q.handler LIMIT 1
      ) FROM waiting AS w WHERE w.handler IS NOT NULL
    )
    SELECT min(at) AS due_at, (SELECT now FROM clock) AS now FROM (
      SELECT (
        SELECT q.due_at FROM delivery AS q
        WHERE q.state = 'pending' AND q.handler = w.handler AND q.isolated = k.isolated ORDER BY q.due_at LIMIT 1
      ) AS at FROM waiting AS w CROSS JOIN (VALUES (false), (true)) AS k (isolated) WHERE w.handler IS NOT NULL
    ) AS due WHERE at <= (SELECT now FROM clock)
  `,
}
/** What all have written becomes one row for each state. Whoever does so at the same time waits, and finds nothing. */
const FOLD = {
  name: 'fold-tally',
  text: `
    WITH gone AS (DELETE FROM tally RETURNING state, n)
    INSERT INTO tally SELECT state, sum(n) FROM gone GROUP BY state
  `,
}

export function createCounts(connections: Connections, clock: DatabaseClock) {
  return async (): Promise<Counts> => {
    const rows = await connections.run<{ state: string; n: number }>('read', TALLY)
    const [oldest] = await connections.run<{ due_at: number | null; now: number }>('read', OLDEST_DUE, [
      clock.givenMs(),
    ])
    const tally = new Map(rows.map(({ state, n }) => [state, n]))
    const pick = <State extends string>(states: readonly State[], prefix = '') =>
      Object.fromEntries(states.map((state) => [state, tally.get(prefix + state) ?? 0])) as Record<State, number>
    return {
      deliveries: pick(DELIVERY_STATES),
      oldestDueAtMs:
        oldest === undefined || oldest.due_at === null ? undefined : clock.localMs() + oldest.due_at - oldest.now,
      tasks: pick(TASK_STATUSES, 'task:'),
    }
  }
}

export const foldTally = async (connections: Connections): Promise<void> => {
  await connections.run('work', FOLD)
}

import type { LeasedTask } from '../../domain/task.ts'
import type { TaskClaim, TaskPostponement } from '../../domain/task-store.ts'
import { postponedQuestion } from '../shared/questions.ts'
import { expiryOf, leasedTaskOf, type TaskRow } from '../shared/tasks.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query } from './connections.ts'
import { escapeText, escapeTextOrNull, isUuid } from './escape-text.ts'
import type { Leases } from './own-leases.ts'
import { questionValues } from './questions.ts'

/** `deadline` is the time that deadlines are compared with: what `deadlineTime` gives. */
const CLOCK =
  'clock AS MATERIALIZED (SELECT c.now, deadline_time_1(c.now) AS deadline FROM (SELECT clock_1($1) AS now) AS c)'
const NOW = '(SELECT now FROM clock)'
const DEADLINE = '(SELECT deadline FROM clock)'
/** Leases tasks. A leased task becomes due when its lease ends, so that no lost lease has to be reclaimed. */
const CLAIM = {
  name: 'claim-tasks',
  text: 'SELECT (c.claimed).*, c.held_before, c.now_at AS now, c.deadline_at AS deadline FROM claim_tasks_3($1, $2, $3, $4, $5, $6, $7) AS c ORDER BY c.kind, c.at, (c.claimed).key',
}
const CLAIM_ONE = {
  name: 'claim-task',
  text: `
    WITH ${CLOCK},
    free AS (
      SELECT key, lease FROM task
      WHERE uid = $2 AND ended_at IS NULL AND (lease IS NULL OR due_at <= ${NOW}) FOR UPDATE
    )
    UPDATE task SET lease = $3, due_at = ${NOW} + $4 FROM free WHERE task.key = free.key
    RETURNING task.*, free.lease AS held_before, ${NOW} AS now, ${DEADLINE} AS deadline
  `,
}
/** A pending task that was polled on request before it was stale does not become due before it is stale. */
const POSTPONE = {
  name: 'postpone',
  text: `
    WITH ${CLOCK},
    postponed AS (
      UPDATE task SET lease = NULL,
        due_at = least(CASE status WHEN 'pending' THEN greatest(${NOW} + $4, stale_at) ELSE ${NOW} + $4 END,
          CASE WHEN expires_at > ${DEADLINE} AND expires_at <= ${NOW} THEN NULL ELSE expires_at END),
        polls = polls + (CASE WHEN $5 AND status = 'pending' THEN 1 ELSE 0 END),
        failures = CASE WHEN $6::text IS NOT NULL THEN 0 WHEN $5 THEN failures + 1 ELSE failures END,
        word = coalesce($6, word),
        last_error = CASE WHEN $5 THEN $7 ELSE last_error END
      WHERE uid = $2 AND lease = $3 AND ended_at IS NULL
      RETURNING key
    )
    SELECT keep_question_1(key, ${NOW} - $9, $8) FROM postponed
  `,
}

type ClaimedRow = TaskRow & { readonly held_before: string | null; readonly now: number; readonly deadline: number }

/** Leases tasks to pollers and submitters, and postpones them. */
export function createClaimTasks(connections: Connections, clock: DatabaseClock, leases: Leases) {
  function leasedOf(row: ClaimedRow, lease: string): LeasedTask {
    const claimed = { ...row, expires_at: expiryOf(row, row.deadline, row.now) }
    return leasedTaskOf(claimed, lease, row.held_before !== null, clock.localMs() - row.now)
  }

  async function postpone(query: Query, postponement: TaskPostponement): Promise<boolean> {
    const { uid, lease, dueAtMs, outcome } = postponement
    if (!isUuid(uid)) return false
    const question = postponedQuestion(postponement)
    const rows = await query(POSTPONE, [
      clock.givenMs(),
      uid,
      escapeText(lease),
      Math.round(dueAtMs - clock.localMs()),
      outcome !== undefined,
      escapeTextOrNull(outcome?.providerStatus),
      escapeTextOrNull(outcome?.error),
      ...questionValues(question, clock.localMs()),
    ])
    return rows.length === 1
  }

  return {
    claimTasks: async ({
      source,
      staleLimit,
      expiredLimit,
      failedPlaces = 0,
      leaseMs,
    }: TaskClaim): Promise<readonly LeasedTask[]> => {
      const lease = leases.next()
      const rows = await connections.run<ClaimedRow>('work', CLAIM, [
        clock.givenMs(),
        escapeText(source),
        Math.max(0, expiredLimit),
        Math.max(0, staleLimit),
        lease,
        leaseMs,
        Math.max(0, failedPlaces),
      ])
      return rows.map((row) => leasedOf(row, lease))
    },

    claimTask: async (uid: string, leaseMs: number): Promise<LeasedTask | undefined> => {
      if (!isUuid(uid)) return undefined
      const lease = leases.next()
      const [row] = await connections.run<ClaimedRow>('work', CLAIM_ONE, [clock.givenMs(), uid, lease, leaseMs])
      return row && leasedOf(row, lease)
    },

    postpone: async (postponements: readonly TaskPostponement[]): Promise<readonly boolean[]> => {
      const [only, ...others] = postponements
      if (only === undefined) return []
      if (others.length === 0) return [await postpone((...args) => connections.run('work', ...args), only)]
      return connections.transaction(async (query) => {
        const took: boolean[] = []
        for (const each of postponements) took.push(await postpone(query, each))
        return took
      })
    },
  }
}

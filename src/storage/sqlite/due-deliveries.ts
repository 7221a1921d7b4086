import type { DatabaseSync } from 'node:sqlite'

/** Finds the handlers of pending deliveries by one index search for each handler, however many deliveries it has. */
export const PENDING_HANDLERS = `
  WITH RECURSIVE pending (handler) AS (
    SELECT min(handler) FROM delivery WHERE state = 'pending'
    UNION ALL
    SELECT (SELECT min(handler) FROM delivery WHERE state = 'pending' AND handler > pending.handler)
    FROM pending WHERE pending.handler IS NOT NULL
  ), isolation (isolated) AS (VALUES (0), (1))
`

/** Handlers that have a pending delivery, due or not. */
export function preparePendingHandlers(db: DatabaseSync): () => ReadonlySet<string> {
  const select = db.prepare(`${PENDING_HANDLERS} SELECT handler FROM pending WHERE handler IS NOT NULL`)
  return () => new Set(select.all().map(({ handler }) => String(handler)))
}

/** The first time, after now, at which a pending delivery or a lease comes due. */
export function prepareNextDue(db: DatabaseSync): (nowMs: number) => number | undefined {
  const select = db.prepare(`
    ${PENDING_HANDLERS}
    SELECT min(due_at) AS due_at FROM (
      SELECT (
        SELECT min(due_at) FROM delivery
        WHERE state = 'pending' AND handler = pending.handler AND isolated = isolation.isolated AND due_at > ?1
      ) AS due_at
      FROM pending, isolation WHERE pending.handler IS NOT NULL
      UNION ALL
      SELECT min(lease_until) FROM delivery WHERE state = 'running' AND lease_until > ?1
    )
  `)
  return (nowMs) => numberOrUndefined(select.get(nowMs)?.due_at)
}

/** The due time of the oldest delivery that is due now, and whose handler is not paused. */
export function prepareOldestDue(db: DatabaseSync): (nowMs: number) => number | undefined {
  const select = db.prepare(`
    ${PENDING_HANDLERS}
    SELECT min(due_at) AS due_at FROM (
      SELECT (
        SELECT min(due_at) FROM delivery
        WHERE state = 'pending' AND handler = pending.handler AND isolated = isolation.isolated
      ) AS due_at
      FROM pending, isolation WHERE pending.handler IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM pause WHERE kind = 'handler' AND name = pending.handler)
    ) WHERE due_at <= ?1
  `)
  return (nowMs) => numberOrUndefined(select.get(nowMs)?.due_at)
}

const numberOrUndefined = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

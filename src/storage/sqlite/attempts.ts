import type { DatabaseSync } from 'node:sqlite'
import type { Damage } from './damage.ts'
import type { AttemptRow } from './messages.ts'

/** Adds an attempt to its delivery's history, unless that lies on a damaged page. */
export function prepareRecordAttempt(db: DatabaseSync, damage: Damage): (attempt: AttemptRow) => void {
  const insert = db.prepare(`
    INSERT INTO attempt (delivery, ordinal, number, outcome, error, detail, started_at, duration_ms)
    VALUES (?1, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = ?1), 0), ?2, ?3, ?4, ?5, ?6, ?7)
  `)
  return ({ delivery, number, outcome, error, detail, startedAtMs, durationMs }) => {
    damage.around(
      'the history of delivery',
      delivery,
      () => insert.run(delivery, number, outcome, error, detail, startedAtMs, durationMs),
      () => undefined,
    )
  }
}

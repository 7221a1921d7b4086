import type { DatabaseSync } from 'node:sqlite'
import type { AttemptRow } from './messages.ts'

/** Adds an attempt to its delivery's history. */
export function prepareRecordAttempt(db: DatabaseSync): (attempt: AttemptRow) => void {
  const insert = db.prepare(`
    INSERT INTO attempt (delivery, ordinal, number, outcome, error, detail, started_at, duration_ms)
    VALUES (?1, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = ?1), 0), ?2, ?3, ?4, ?5, ?6, ?7)
  `)
  return ({ delivery, number, outcome, error, detail, startedAtMs, durationMs }) => {
    insert.run(delivery, number, outcome, error, detail, startedAtMs, durationMs)
  }
}

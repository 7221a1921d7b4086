import type { DatabaseSync } from 'node:sqlite'
import type { Damage } from './damage.ts'

interface Repeats {
  readonly n: number
  readonly lastAtMs: number
  readonly lastFrom: string | null
}

/** Counts the events that are sent again, first in memory: one row is written for all that come in one commit. */
export interface RepeatCounter {
  note(eventKey: number, receivedAtMs: number, receivedFrom: string | null): void
  isWaiting(): boolean
  /** Writes the counts in the open transaction. */
  write(): void
  /** To be called after that transaction has ended, however it ended. */
  forget(): void
}

export function prepareRepeatCounter(db: DatabaseSync, damage: Damage): RepeatCounter {
  const add = db.prepare(`
    INSERT INTO event_repeat (key, n, last_at, last_from) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET n = n + excluded.n, last_at = max(last_at, excluded.last_at),
      last_from = CASE WHEN excluded.last_at >= last_at THEN excluded.last_from ELSE last_from END
  `)
  const waiting = new Map<number, Repeats>()

  return {
    note(eventKey, receivedAtMs, receivedFrom) {
      const known = waiting.get(eventKey)
      const isLast = known === undefined || receivedAtMs >= known.lastAtMs
      waiting.set(eventKey, {
        n: (known?.n ?? 0) + 1,
        lastAtMs: isLast ? receivedAtMs : known.lastAtMs,
        lastFrom: isLast ? receivedFrom : known.lastFrom,
      })
    },
    isWaiting: () => waiting.size > 0,
    write() {
      for (const [eventKey, { n, lastAtMs, lastFrom }] of waiting)
        damage.around(
          'the count of repeats of event',
          eventKey,
          () => add.run(eventKey, n, lastAtMs, lastFrom),
          () => undefined,
        )
    },
    forget: () => waiting.clear(),
  }
}

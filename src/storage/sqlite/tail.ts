import type { DatabaseSync } from 'node:sqlite'
import { MAX_TAIL_SKEW_MS, type TailedEvent, type TailPage } from '../../domain/event-tail.ts'
import { EVENT_COLUMNS, type EventRow, eventSummaryOf } from '../shared/events.ts'
import { unlessDamaged } from './errors.ts'

/** The one writer gives keys in the order in which it commits, so that a key is a position. */
export function prepareTail(db: DatabaseSync) {
  const last = db.prepare('SELECT key FROM event ORDER BY key DESC LIMIT 1')
  const since = db.prepare('SELECT key FROM event WHERE received_at >= ? ORDER BY received_at, key LIMIT 1')
  const next = db.prepare(`SELECT ${EVENT_COLUMNS} FROM event WHERE key > ? ORDER BY key LIMIT ?`)
  const one = db.prepare(`SELECT ${EVENT_COLUMNS} FROM event WHERE key = ?`)
  const tailEnd = (): number => Number(last.get()?.key ?? 0)

  return {
    tailEnd,

    tailSince(sinceMs: number): number {
      const first = since.get(sinceMs - MAX_TAIL_SKEW_MS)
      return first === undefined ? tailEnd() : Math.min(Number(first.key) - 1, tailEnd())
    },

    tail(after: number, limit: number): TailPage {
      const rows = unlessDamaged(() => next.all(after, limit))
      if (rows === undefined) return aroundDamage(after, limit)
      const events = rows.map(tailed)
      const position = rows.length < limit ? Math.max(after, tailEnd()) : (events.at(-1)?.position ?? after)
      return { events, position }
    },
  }

  /** Event by event, without those that lie on damaged pages. */
  function aroundDamage(after: number, limit: number): TailPage {
    const position = Math.min(after + limit, Math.max(after, tailEnd()))
    const keys = Array.from({ length: position - after }, (_, at) => after + at + 1)
    return { events: keys.flatMap((key) => unlessDamaged(() => one.all(key)) ?? []).map(tailed), position }
  }
}

function tailed(row: Readonly<Record<string, unknown>>): TailedEvent {
  const event = row as EventRow
  return { position: Number(event.key), event: eventSummaryOf(event) }
}

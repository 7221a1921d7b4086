import type { DatabaseSync } from 'node:sqlite'

/** What may still be leased. */
export interface Room {
  readonly handlers: Map<string, number>
  shared: number
  isolated: number
}

export interface Candidate {
  readonly key: number
  readonly handler: string
  readonly isolated: boolean
  readonly dueAtMs: number
  readonly attempts: number
}

/** Chooses what is due, the oldest of all handlers first, as far as there is room. Changes nothing. */
export function prepareCandidates(db: DatabaseSync) {
  const select = db.prepare(`
    SELECT key, due_at, attempts FROM delivery
    WHERE state = 'pending' AND handler = ? AND isolated = ? AND due_at <= ?
    ORDER BY due_at, key LIMIT ?
  `)

  return (room: Room, nowMs: number): readonly Candidate[] => {
    const due: Candidate[] = []
    for (const [handler, limit] of room.handlers) {
      for (const isolated of [false, true]) {
        const rows = Math.min(limit, isolated ? room.isolated : room.shared)
        if (rows <= 0) continue
        for (const row of select.all(handler, isolated ? 1 : 0, nowMs, rows)) {
          due.push({
            key: Number(row.key),
            handler,
            isolated,
            dueAtMs: Number(row.due_at),
            attempts: Number(row.attempts),
          })
        }
      }
    }
    due.sort((a, b) => a.dueAtMs - b.dueAtMs || a.key - b.key)
    return withinRoom(due, room)
  }
}

function withinRoom(due: readonly Candidate[], room: Room): readonly Candidate[] {
  const left = new Map(room.handlers)
  let { shared, isolated } = room
  return due.filter((candidate) => {
    const ofHandler = left.get(candidate.handler) ?? 0
    if (ofHandler <= 0 || (candidate.isolated ? isolated : shared) <= 0) return false
    left.set(candidate.handler, ofHandler - 1)
    if (candidate.isolated) isolated--
    else shared--
    return true
  })
}

import type { DatabaseSync } from 'node:sqlite'
import type { TaskClaim } from '../../domain/task-store.ts'
import type { Damage } from './damage.ts'
import type { Row } from './rows.ts'

/** What may be claimed of a source's tasks. */
export interface DueTasks {
  /** Those past their deadline. */
  expired(claim: TaskClaim, nowMs: number, deadlineMs: number): readonly Row[]
  /** Those to be asked for: such as have not failed first, but for the places that failed ones have. */
  due(claim: TaskClaim, nowMs: number, deadlineMs: number): readonly Row[]
}

/** What lies on damaged pages is left out. */
export function prepareDueTasks(db: DatabaseSync, damage: Damage): DueTasks {
  const open = 'expires_at > ?2'
  const sound = prepareQueue(db, damage, { index: 'task_due_sound', at: 'due_at', of: 'failures = 0', free: open })
  const failed = prepareQueue(db, damage, { index: 'task_due_failed', at: 'due_at', of: 'failures > 0', free: open })
  const free = '(lease IS NULL OR due_at <= ?2)'
  const expired = prepareQueue(db, damage, { index: 'task_expiring', at: 'expires_at', of: 'true', free })

  return {
    expired: ({ source, expiredLimit }, nowMs, deadlineMs) => expired(source, deadlineMs, nowMs, expiredLimit),
    due({ source, staleLimit, failedPlaces = 0 }, nowMs, deadlineMs) {
      const limit = Math.max(0, staleLimit)
      const first = sound(source, nowMs, deadlineMs, limit)
      const places = Math.min(limit, Math.max(failedPlaces, limit - first.length))
      const others = failed(source, nowMs, deadlineMs, places)
      return [...first.slice(0, limit - others.length), ...others]
    },
  }
}

interface Queue {
  readonly index: string
  /** In which order, and up to which time. */
  readonly at: string
  /** Which live tasks the index has. */
  readonly of: string
  /** What their rows have to say besides, by another time: `?2`. */
  readonly free: string
}

function prepareQueue(db: DatabaseSync, damage: Damage, { index, at, of, free }: Queue) {
  const from = `FROM task INDEXED BY ${index} WHERE source = ?1 AND ${at} <= ?3 AND ended_at IS NULL AND ${of}`
  const rows = db.prepare(`SELECT * ${from} AND ${free} ORDER BY ${at}, key LIMIT ?4`)
  const keys = db.prepare(`SELECT key ${from} AND ?2 IS NOT NULL ORDER BY ${at}, key`)
  const row = db.prepare(`SELECT * FROM task WHERE key = ?1 AND ${free}`)

  /** By the index alone, and each row on its own. */
  function carefully(source: string, untilMs: number, otherMs: number, limit: number): readonly Row[] {
    const found: Row[] = []
    for (const { key } of keys.all(source, otherMs, untilMs)) {
      if (found.length >= limit) break
      const task = damage.around(
        'the row of task',
        Number(key),
        () => row.get(Number(key), otherMs),
        () => undefined,
      )
      if (task !== undefined) found.push(task)
    }
    return found
  }

  return (source: string, untilMs: number, otherMs: number, limit: number): readonly Row[] =>
    damage.around(
      `the tasks by ${index} of`,
      source,
      // SQLite takes a negative limit for none.
      () => rows.all(source, otherMs, untilMs, Math.max(0, limit)),
      () => carefully(source, untilMs, otherMs, limit),
    )
}

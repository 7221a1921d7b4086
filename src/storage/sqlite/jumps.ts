import type { DatabaseSync } from 'node:sqlite'
import { AHEAD_TOLERANCE_MS, type Clock } from '../../domain/clock.ts'

/** The clock was set ahead, or the machine slept: by so much, after it had said this last. */
export interface Jump {
  readonly byMs: number
  readonly lastMs: number
}

/**
 * The clock, which tells of each jump ahead before it says the time after it. `monotonicMs` is one that nobody sets. Of a step
 * that is shorter than leases are long nothing is told.
 */
export function watchJumps(clock: Clock, monotonicMs: () => number, onJump: (jump: Jump) => void): Clock {
  let lastMs = clock()
  let lastMonotonicMs = monotonicMs()
  return () => {
    const [nowMs, nowMonotonicMs] = [clock(), monotonicMs()]
    const jump = { byMs: Math.round(nowMs - lastMs - (nowMonotonicMs - lastMonotonicMs)), lastMs }
    lastMs = nowMs
    lastMonotonicMs = nowMonotonicMs
    if (jump.byMs > AHEAD_TOLERANCE_MS) onJump(jump)
    return nowMs
  }
}

/**
 * Has leases that held before the clock jumped ahead hold on for as long as they were to last: what holds them is this process,
 * which may be at it, and a second run of it would be for nothing. (Back, `bringBack` sees to them.)
 */
export function prepareMoveLeases(db: DatabaseSync): (jump: Jump) => void {
  const deliveries = db.prepare(`
    UPDATE delivery SET lease_until = lease_until + ?1, started_at = started_at + ?1
    WHERE state = 'running' AND lease_until > ?2 AND started_at <= ?2
  `)
  const tasks = db.prepare(`
    UPDATE task INDEXED BY task_expiring SET due_at = due_at + ?1
    WHERE source >= '' AND ended_at IS NULL AND lease IS NOT NULL AND due_at > ?2
  `)
  return ({ byMs, lastMs }) => {
    deliveries.run(byMs, lastMs)
    tasks.run(byMs, lastMs)
  }
}

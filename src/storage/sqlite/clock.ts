import type { DatabaseSync } from 'node:sqlite'
import {
  AHEAD_TOLERANCE_MS,
  type Clock,
  type ClockLook,
  type ClockRecord,
  firstRecord,
  judgeClock,
  MAX_REDATED,
  misdatedBefore,
} from '../../domain/clock.ts'

/** Reads the clock record from the table of watermarks; undefined if there is none yet. */
export function prepareReadClock(db: DatabaseSync): () => ClockRecord | undefined {
  const select = db.prepare('SELECT value FROM watermark WHERE name = ?')
  function read(name: string): number | undefined {
    const value = select.get(name)?.value
    return typeof value === 'number' ? value : undefined
  }
  return () => {
    const knownAtMs = read('clock_known')
    if (knownAtMs === undefined) return undefined
    return { knownAtMs, lookedAtMs: read('clock_looked') ?? knownAtMs, steadyMs: read('clock_steady') }
  }
}

/**
 * Judges the clock, as `judgeClock` of the domain does. The watermark `clock_key` is the key of the last event that was stored
 * when the clock was last trusted.
 */
export function prepareJudgeClock(db: DatabaseSync) {
  const read = prepareReadClock(db)
  const write = db.prepare(
    'INSERT INTO watermark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  )
  const remove = db.prepare('DELETE FROM watermark WHERE name = ?')
  const newest = db.prepare('SELECT max(received_at) AS at FROM event')
  const writeKey = db.prepare(`
    INSERT INTO watermark VALUES ('clock_key', (SELECT coalesce(max(key), 0) FROM event))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
  `)
  const redate = db.prepare(`
    UPDATE event SET received_at = ?1 WHERE +received_at < ?2 AND key IN (
      SELECT key FROM event WHERE key > (SELECT value FROM watermark WHERE name = 'clock_key') ORDER BY key LIMIT ${MAX_REDATED}
    )
  `)

  function recordAt(nowMs: number): ClockRecord {
    const at = newest.get()?.at
    return read() ?? firstRecord(nowMs, typeof at === 'number' ? at : undefined)
  }

  return (look: ClockLook, nowMs: number): ClockRecord => {
    const before = recordAt(nowMs)
    const record = judgeClock(before, nowMs, look)
    const misdatedMs = misdatedBefore(before, record)
    if (misdatedMs !== undefined) redate.run(nowMs, misdatedMs)
    if (record.steadyMs === undefined) writeKey.run()
    write.run('clock_known', record.knownAtMs)
    write.run('clock_looked', record.lookedAtMs)
    if (record.steadyMs === undefined) remove.run('clock_steady')
    else write.run('clock_steady', Math.round(record.steadyMs))
    return record
  }
}

/**
 * A jump of the clock ahead, because the clock was set or the machine slept: by how much, and the last time before the jump.
 */
export interface ClockJump {
  readonly byMs: number
  readonly lastMs: number
}

/**
 * Wraps a clock: calls `onJump` for each jump ahead before it returns the time after the jump. `monotonicMs` is a clock that is
 * never set. Jumps of up to `AHEAD_TOLERANCE_MS` are not reported.
 */
export function watchClock(clock: Clock, monotonicMs: () => number, onJump: (jump: ClockJump) => void): Clock {
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
 * Extends the leases that were valid before the clock jumped ahead, so that each lasts as long as it was meant to. This process
 * holds them and may be running their deliveries; a second run would be useless. (`repairTimes` corrects jumps back.)
 */
export function prepareShiftLeases(db: DatabaseSync): (jump: ClockJump) => void {
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

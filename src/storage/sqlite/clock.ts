import type { DatabaseSync } from 'node:sqlite'
import { type ClockLook, type ClockRecord, firstRecord, judgeClock } from '../../domain/clock-record.ts'

/** Keeps what is known of the clock among the watermarks. */
export function prepareJudgeClock(db: DatabaseSync) {
  const select = db.prepare('SELECT value FROM watermark WHERE name = ?')
  const write = db.prepare(
    'INSERT INTO watermark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  )
  const remove = db.prepare('DELETE FROM watermark WHERE name = ?')
  const newest = db.prepare('SELECT max(received_at) AS at FROM event')

  function read(name: string): number | undefined {
    const value = select.get(name)?.value
    return typeof value === 'number' ? value : undefined
  }

  function recordAt(nowMs: number): ClockRecord {
    const knownAtMs = read('clock_known')
    if (knownAtMs === undefined) {
      const at = newest.get()?.at
      return firstRecord(nowMs, typeof at === 'number' ? at : undefined)
    }
    return { knownAtMs, lookedAtMs: read('clock_looked') ?? knownAtMs, steadyMs: read('clock_steady') }
  }

  return (look: ClockLook, nowMs: number): ClockRecord => {
    const record = judgeClock(recordAt(nowMs), nowMs, look)
    write.run('clock_known', record.knownAtMs)
    write.run('clock_looked', record.lookedAtMs)
    if (record.steadyMs === undefined) remove.run('clock_steady')
    else write.run('clock_steady', Math.round(record.steadyMs))
    return record
  }
}

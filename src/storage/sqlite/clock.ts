import type { DatabaseSync } from 'node:sqlite'
import {
  type ClockLook,
  type ClockRecord,
  firstRecord,
  judgeClock,
  MAX_REDATED,
  misdatedBefore,
} from '../../domain/clock.ts'

/** What is known of the clock is kept among the watermarks; undefined: nothing is yet. */
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

/** `clock_key` is the last event that was stored when the clock was last trusted. */
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

import {
  type Clock,
  type ClockLook,
  type ClockRecord,
  firstRecord,
  judgeClock,
  MAX_REDATED,
  misdatedBefore,
} from '../../domain/clock.ts'
import type { Connections } from './connections.ts'

/** All replicas share one row, which is locked, so that each judgement of the clock builds on the one before. */
const READ = `
  SELECT r.known_at, r.looked_at, r.steady_ms, clock_1($1) AS now, (SELECT max(received_at) FROM event) AS newest
  FROM (VALUES (1)) AS one LEFT JOIN clock_record AS r ON true
`
const LOCK = 'SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(10) || $1, 7031))'
const WRITE = `
  INSERT INTO clock_record (known_at, looked_at, steady_ms) VALUES ($1, $2, $3)
  ON CONFLICT (one) DO UPDATE SET known_at = $1, looked_at = $2, steady_ms = $3
`

/** The key of the last event that was stored when the clock was last trusted: the search for misdated events starts there. */
const WRITE_KEY = `
  INSERT INTO watermark (queue, at, key) VALUES ('clock', $1, (SELECT coalesce(max(key), 0) FROM event))
  ON CONFLICT (queue) DO UPDATE SET at = excluded.at, key = excluded.key
`
/** A body moves to the partition of today, which always exists. */
const REDATE = `
  WITH misdated AS MATERIALIZED (
    SELECT key, received_at FROM (
      SELECT key, received_at FROM event WHERE key > (SELECT w.key FROM watermark AS w WHERE w.queue = 'clock') ORDER BY key LIMIT ${MAX_REDATED}
    ) AS since WHERE received_at < $2
  ),
  bodies AS (
    UPDATE event_body AS b SET day = day_1($1) FROM misdated WHERE b.day = day_1(misdated.received_at) AND b.key = misdated.key
  )
  UPDATE event SET received_at = $1 FROM misdated WHERE event.key = misdated.key
`

interface RecordRow extends Record<string, unknown> {
  readonly known_at: number | null
  readonly looked_at: number | null
  readonly steady_ms: number | null
  readonly now: number
  readonly newest: number | null
}

/** Judges the clock of the database, for every replica that calls it. */
export function createJudgeClock(connections: Connections, clock: DatabaseClock) {
  return (look: ClockLook): Promise<ClockRecord> =>
    connections.transaction(async (query) => {
      await query(LOCK, ['clock'])
      const [row] = await query<RecordRow>(READ, [clock.givenMs()])
      if (row === undefined) throw new Error('the database returned no time')
      const before = recordOf(row)
      const record = judgeClock(before, row.now, look)
      const steadyMs = record.steadyMs === undefined ? null : Math.round(record.steadyMs)
      await query(WRITE, [record.knownAtMs, record.lookedAtMs, steadyMs])
      const misdatedMs = misdatedBefore(before, record)
      if (misdatedMs !== undefined) await query(REDATE, [row.now, misdatedMs])
      if (record.steadyMs === undefined) await query(WRITE_KEY, [record.knownAtMs])
      return record
    })
}

function recordOf({ known_at, looked_at, steady_ms, now, newest }: RecordRow): ClockRecord {
  if (known_at === null) return firstRecord(now, newest ?? undefined)
  return { knownAtMs: known_at, lookedAtMs: looked_at ?? known_at, steadyMs: steady_ms ?? undefined }
}

/** A smaller difference between two clocks is ignored. */
const MIN_DIFFERENCE_MS = 1_000

/**
 * The clock of the database decides, for all replicas, which deliveries are due, which leases are valid, when a task expires
 * and when an event was received. Times that cross the port are times of this process's clock; statements get durations, so
 * that replicas with different clocks agree. A test gives one clock in place of both.
 */
export class DatabaseClock {
  readonly #given: Clock | undefined
  readonly localMs: Clock
  /** The time of the database minus the monotonic time of this process at the same moment. */
  #epochMs: number | undefined
  #aheadMs = 0

  /** In tests, `given` replaces both clocks, and `local` only that of this process. */
  constructor(given: Clock | undefined, local: Clock | undefined) {
    this.#given = given
    this.localMs = given ?? local ?? Date.now
  }

  /** The time that replaces the time of the database; null if the database's own clock decides. */
  givenMs = (): number | null => this.#given?.() ?? null

  /** Says that the database has returned its time. `askedAtMs`: when it was asked, by `performance.now()`. */
  observe(databaseMs: number, askedAtMs: number): void {
    this.#epochMs = databaseMs - (askedAtMs + performance.now()) / 2
  }

  /**
   * How far the clock of the database is ahead of this process's clock, computed from the last time that the database returned;
   * correct even if this process's clock was set since. 0 if they agree to a second, or the database has not returned a time
   * yet.
   */
  aheadMs(): number {
    if (this.#given !== undefined || this.#epochMs === undefined) return 0
    const aheadMs = Math.round(this.#epochMs + performance.now() - this.localMs())
    // Small changes are ignored, so that an event and its receipt get the same time.
    if (Math.abs(aheadMs) < MIN_DIFFERENCE_MS) this.#aheadMs = 0
    else if (Math.abs(aheadMs - this.#aheadMs) >= MIN_DIFFERENCE_MS) this.#aheadMs = aheadMs
    return this.#aheadMs
  }
}

import { DAY_MS } from '../../domain/clock.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query, Row } from './connections.ts'
import {
  codeOf,
  DEADLOCK_DETECTED,
  LOCK_NOT_AVAILABLE,
  lacksPartition,
  OBJECT_NOT_IN_PREREQUISITE_STATE,
  QUERY_CANCELED,
  UNDEFINED_TABLE,
} from './errors.ts'

/** How many days ahead partitions are made. */
const DAYS_AHEAD = 7
/** Lets one replica at a time make and drop partitions. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(10) || 'days', 7031))"
const DROP_LATER = new Set([
  UNDEFINED_TABLE,
  QUERY_CANCELED,
  LOCK_NOT_AVAILABLE,
  OBJECT_NOT_IN_PREREQUISITE_STATE,
  DEADLOCK_DETECTED,
])

/**
 * The partitions of `event_body`, one for each day. The commands that attach and detach them block no other statement; CREATE …
 * PARTITION OF, and DROP of an attached partition, would be shorter but would block.
 */
export class BodyPartitions {
  readonly #connections: Connections
  readonly #clock: DatabaseClock

  constructor(connections: Connections, clock: DatabaseClock) {
    this.#connections = connections
    this.#clock = clock
  }

  /** Runs a statement that writes bodies. If the partition of a day is missing, makes it and runs the statement again. */
  async withPartitions<Result>(timesMs: () => readonly number[], write: () => Promise<Result>): Promise<Result> {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof HoldfastError) || !lacksPartition(error.cause)) throw error
      // Takes the lock even if another replica has made the partition already: the other processes of PostgreSQL learn of a new
      // partition shortly after the commit that made it is visible, but before that transaction releases the lock.
      await this.#make([...new Set(timesMs().map(partitionOf))])
      return write()
    }
  }

  /** Makes the partitions of today and of the days to come. */
  async makeAhead(): Promise<void> {
    const askedAtMs = performance.now()
    const [row] = await this.#connections.run<{ now: number }>('work', 'SELECT clock_1($1) AS now', [
      this.#clock.givenMs(),
    ])
    if (row !== undefined) this.#clock.observe(row.now, askedAtMs)
    const now = row?.now ?? this.#clock.localMs()
    // Also the partition of yesterday: an event that was received before midnight may be stored after it.
    await this.make(Array.from({ length: DAYS_AHEAD + 2 }, (_, ahead) => now + (ahead - 1) * DAY_MS))
  }

  /** Makes the partitions of the days of these times. */
  async make(timesMs: readonly number[]): Promise<void> {
    const names = new Set(timesMs.map(partitionOf))
    const attached = new Set(
      (await this.#partitions()).filter(({ state }) => state === 'attached').map(({ name }) => name),
    )
    const missing = [...names].filter((name) => !attached.has(name))
    if (missing.length > 0) await this.#make(missing)
  }

  async #make(names: readonly string[]): Promise<void> {
    await this.#connections.transaction(async (query) => {
      await query(LOCK)
      for (const name of names) await makeOne(name, query)
    })
  }

  /** Drops the partitions of days that are wholly before the time and hold no event any more. Returns how many it dropped. */
  async dropBefore(beforeMs: number): Promise<number> {
    let dropped = 0
    for (const { name, state } of await this.#partitions()) {
      const from = fromOf(name)
      if (from + DAY_MS > beforeMs || !(await isEmpty(from, this.#query))) continue
      try {
        if (await this.#drop(name, state)) dropped++
      } catch (error) {
        // Another replica is dropping the partition, or a long statement reads it: a later call drops it.
        if (!DROP_LATER.has(causeCodeOf(error))) throw error
      }
    }
    return dropped
  }

  async #drop(name: string, state: PartitionState): Promise<boolean> {
    // PostgreSQL allows this only outside of a transaction. The command waits for statements that use the partition, without
    // blocking new ones.
    if (state === 'attached') await this.#query(`ALTER TABLE event_body DETACH PARTITION ${name} CONCURRENTLY`)
    if (state === 'leaving') await this.#query(`ALTER TABLE event_body DETACH PARTITION ${name} FINALIZE`)
    return this.#connections.transaction(async (query) => {
      await query(LOCK)
      if ((await stateOf(name, query)).state !== 'detached') return false
      // An event of that day may have been stored meanwhile.
      const empty = await isEmpty(fromOf(name), query)
      await query(empty ? `DROP TABLE ${name}` : attach(name))
      return empty
    })
  }

  /** All partitions in this schema, oldest first. */
  #partitions = (): Promise<Partition[]> => this.#query<Partition>(`${PARTITIONS} ORDER BY name`)

  #query: Query = (statement, values = []) => this.#connections.run('work', statement, values)
}

type PartitionState = 'attached' | 'leaving' | 'detached'

interface Partition extends Row {
  readonly name: string
  readonly state: PartitionState
}

const PARTITIONS = `
  SELECT c.relname::text AS name,
    CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'leaving' ELSE 'attached' END AS state
  FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname ~ '^event_body_\\d{8}$'
`

async function makeOne(name: string, query: Query): Promise<void> {
  const { state } = await stateOf(name, query)
  if (state === 'attached') return
  if (state === 'none')
    await query(`CREATE TABLE ${name} (LIKE event_body INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)`)
  if (state === 'leaving') await query(`ALTER TABLE event_body DETACH PARTITION ${name} FINALIZE`)
  await query(attach(name))
}

async function stateOf(name: string, query: Query): Promise<{ state: PartitionState | 'none' }> {
  const [row] = await query<Partition>(`${PARTITIONS} AND c.relname = $1`, [name])
  return row ?? { state: 'none' }
}

async function isEmpty(fromMs: number, query: Query): Promise<boolean> {
  const sql = 'SELECT 1 FROM event WHERE received_at >= $1 AND received_at < $2 LIMIT 1'
  return (await query(sql, [fromMs, fromMs + DAY_MS])).length === 0
}

const attach = (name: string): string =>
  `ALTER TABLE event_body ATTACH PARTITION ${name} FOR VALUES IN ('${name.slice(-8)}')`

function partitionOf(timeMs: number): string {
  const day = new Date(timeMs).toISOString().slice(0, 10)
  // A year before 0 or after 9999 has a sign.
  if (!/^\d{4}-/.test(day))
    throw new HoldfastError('invalid_request', 'the time of receipt is not in a year from 0 to 9999')
  return `event_body_${day.replaceAll('-', '')}`
}

const fromOf = (name: string): number =>
  Date.parse(`${name.slice(-8, -4)}-${name.slice(-4, -2)}-${name.slice(-2)}T00:00:00Z`)

const causeCodeOf = (error: unknown): string => codeOf(error instanceof HoldfastError ? error.cause : error) ?? ''

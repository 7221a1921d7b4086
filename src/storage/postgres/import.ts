import type { AuditEntry } from '../../domain/audit.ts'
import { HoldfastError } from '../../domain/errors.ts'
import { REPLICA_TIMEOUT_MS } from '../../domain/replica-registry.ts'
import type { StatRow } from '../../domain/stat-store.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { MovedTable } from '../../domain/store-move.ts'
import { postgresTarget } from '../shared/database-url.ts'
import {
  columnsOf,
  FROM_START,
  isByOrdinal,
  type MovedRow,
  type MovedValue,
  type MovePosition,
} from '../shared/moved-rows.ts'
import type { ReplayTally } from '../shared/replays.ts'
import { recordAudit } from './audit.ts'
import { BodyPartitions } from './body-partitions.ts'
import { DatabaseClock } from './clock.ts'
import { connectWithRetry } from './connect-with-retry.ts'
import { Connections, type Query, type Row } from './connections.ts'
import { escapeText } from './escape-text.ts'
import {
  ADVANCE_KEYS,
  HELD,
  INSERT_TALLIES,
  INSERTS,
  POSITIONS,
  READS,
  type WrittenTable,
} from './import-statements.ts'
import { migrate } from './migrate.ts'
import { createStats } from './stats.ts'

const ANALYZE =
  'ANALYZE event, event_key, body_key, event_body, delivery, attempt, attempt_detail, event_repeat, task, task_question, cause, replay_mark, stat'
const SERVED = `SELECT FROM replica WHERE gone_at IS NULL AND seen_at > clock_1(NULL) - ${REPLICA_TIMEOUT_MS} LIMIT 1`

/**
 * A database into which the rows of a SQLite store are moved. From `begin` to `finish` its table `move` names that store, and no
 * service starts on it.
 */
export interface Import {
  /** When the unfinished move was begun; undefined if there is none. */
  readonly begunAtMs: () => Promise<number | undefined>
  /**
   * Begins a move from this store, or resumes it (true). Changes nothing and rejects with `conflict` if the database holds other
   * rows, a move from another store is unfinished, or a service runs on it.
   */
  readonly begin: (origin: string, nowMs: number) => Promise<boolean>
  /** The last committed row of the table. */
  readonly position: (table: WrittenTable) => Promise<MovePosition>
  /**
   * Adds rows in order of key, with the bodies of events, all or none. Rejects with `conflict` unless `after` is the table's last
   * row.
   */
  readonly write: (table: WrittenTable, after: MovePosition, rows: readonly MovedRow[]) => Promise<void>
  /** Adds rows of the numbers over time, or writes them again. */
  readonly writeStats: (rows: readonly StatRow[]) => Promise<void>
  /** Adds rows of what was taken from replay jobs, or writes them again. */
  readonly writeTallies: (rows: readonly ReplayTally[]) => Promise<void>
  /** The next rows in order of key; empty after the last one. */
  readonly read: (table: MovedTable, after: MovePosition) => Promise<readonly MovedRow[]>
  /** Lets services use the database: sets its counts, has new keys follow the moved ones, and records the move in the audit. */
  readonly finish: (counts: ReadonlyMap<string, number>, entry: AuditEntry) => Promise<void>
  readonly close: () => Promise<void>
}

/** Brings the schema up to date, as a starting service does. Rejects with `ConfigurationError`. */
export async function openImport(databaseUrl: string, onLog: StoreLog, connectRetryMs: number): Promise<Import> {
  const target = postgresTarget(databaseUrl)
  await connectWithRetry(connectRetryMs, onLog, () => migrate(target, onLog))
  const connections = new Connections(target)
  const partitions = new BodyPartitions(connections, new DatabaseClock(undefined, undefined))
  let begunOrigin = ''

  /** Locks the row of the move, so that another process that moves a copy of the same store waits. */
  async function hold(query: Query): Promise<void> {
    const held = await query('SELECT FROM move WHERE origin = $1 FOR UPDATE', [begunOrigin])
    if (held.length === 0) throw conflict('Another process has ended the move.')
  }

  async function positionIn(query: Query, table: WrittenTable): Promise<MovePosition> {
    const [row] = await query<{ key: number; ordinal: number }>(POSITIONS[table])
    return row ?? FROM_START
  }

  return {
    async begunAtMs() {
      const [row] = await connections.run<{ started_at: number }>('move', 'SELECT started_at FROM move')
      return row?.started_at
    },

    async begin(origin, nowMs) {
      const resumed = await connections.transaction((query) => begin(query, origin, nowMs, target.schema), 'move')
      begunOrigin = origin
      return resumed
    },

    position: (table) => positionIn((statement, values) => connections.run('move', statement, values), table),

    async write(table, after, rows) {
      const values = valuesOf(table, rows)
      const write = () =>
        connections.transaction(async (query) => {
          await hold(query)
          const { key, ordinal } = await positionIn(query, table)
          if (key !== after.key || ordinal !== after.ordinal)
            throw conflict('Another process is moving events into this database.')
          await query(INSERTS[table], values)
        }, 'move')
      await partitions.withPartitions(() => rows.map((row) => Number(row.values.received_at)), write)
    },

    writeStats: createStats(connections).recordStats,

    writeTallies: createWriteTallies(connections),

    async read(table, { key, ordinal }) {
      const rows = await connections.run('move', READS[table], isByOrdinal(table) ? [key, ordinal] : [key])
      return rows.map((row) => rowOf(table, row))
    },

    async finish(counts, entry) {
      await connections.transaction(async (query) => {
        await hold(query)
        for (const statement of ADVANCE_KEYS) await query(statement)
        await query('DELETE FROM tally')
        for (const [state, n] of counts) await query('INSERT INTO tally VALUES ($1, $2)', [state, n])
        await recordAudit(query, entry, null)
        await query('DELETE FROM move WHERE origin = $1', [begunOrigin])
      }, 'move')
      // The server would analyze the tables within minutes, but would plan for empty tables until then.
      await connections.run('move', ANALYZE).catch(() => {})
    },

    close: () => connections.close(),
  }
}

async function begin(query: Query, origin: string, nowMs: number, schema: string): Promise<boolean> {
  await query('LOCK TABLE move IN SHARE ROW EXCLUSIVE MODE')
  const [other] = await query<{ origin: string }>('SELECT origin FROM move')
  if (other !== undefined && other.origin !== origin) {
    throw conflict(
      `A move into this database is not finished, and it is from another store, or from this store before it was used again: finish that move, or begin again after DROP SCHEMA ${schema} CASCADE.`,
    )
  }
  if ((await query(SERVED)).length > 0)
    throw conflict('A service runs on this database, or did a moment ago: stop all of them first.')
  if (other !== undefined) return true
  const [row] = await query<{ held: readonly string[] }>(HELD)
  if (row?.held.length !== 0)
    throw conflict(`Schema ${schema} of this database holds ${row?.held.join(', ')} already: move into an empty one.`)
  await query('INSERT INTO move (origin, started_at) VALUES ($1, $2)', [origin, nowMs])
  return false
}

const createWriteTallies =
  (connections: Connections): Import['writeTallies'] =>
  async (rows) => {
    const json = rows.map(({ handler, ...row }) => ({ ...row, handler: escapeText(handler) }))
    await connections.run('move', INSERT_TALLIES, [JSON.stringify(json)])
  }

function valuesOf(table: WrittenTable, rows: readonly MovedRow[]) {
  let offset = 1
  const json = rows.map((row) => {
    const written: Record<string, MovedValue> = {}
    for (const [name, value] of Object.entries(row.values))
      if (value !== null) written[name] = typeof value === 'string' ? escapeText(value) : value
    if (row.bytes === undefined) return written
    written.body_from = offset
    written.body_size = row.bytes.length
    offset += row.bytes.length
    return written
  })
  const text = JSON.stringify(json)
  return table === 'event' ? [text, Buffer.concat(rows.map(({ bytes }) => bytes ?? new Uint8Array()))] : [text]
}

export function rowOf(table: MovedTable, row: Row): MovedRow {
  const values = Object.fromEntries(
    columnsOf(table).map(([name, kind]) => {
      const value = row[name] as MovedValue | Buffer
      return [name, kind === 'hex' && Buffer.isBuffer(value) ? value.toString('hex') : (value as MovedValue)]
    }),
  )
  return {
    values,
    ...(Buffer.isBuffer(row.bytes) && { bytes: row.bytes }),
    ...(row.is_known === false && { forgotten: true }),
  }
}

const conflict = (message: string): HoldfastError => new HoldfastError('conflict', message)

import { hash } from 'node:crypto'
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { ConfigurationError } from '../../domain/errors.ts'
import type { StatQuery, StatRow } from '../../domain/stat-store.ts'
import type { MovedTable } from '../../domain/store-move.ts'
import {
  columnsOf,
  isByOrdinal,
  MAX_MOVE_BYTES,
  MAX_MOVE_ROWS,
  type MovedKind,
  type MovedRow,
  type MovedValue,
  type MovePosition,
  sizeOf,
} from '../shared/moved-rows.ts'
import type { ReplayTally } from '../shared/replays.ts'
import { openForReading } from './connection.ts'
import { prepareReadStats } from './stats.ts'

const NO_BODY = 'has no body that matches its checksum: the database is damaged, restore it from a backup'

/** Reads the embedded store, also while a process has it open. Returns rows as they are stored, and writes nothing. */
export interface Export {
  /** Identifies this store among all that hold anything: SHA-256 of the uid and time of its first event and its first task. */
  readonly origin: string
  readonly count: (table: MovedTable) => number
  /** The number of rows up to this position, inclusive. */
  readonly countUpTo: (table: MovedTable, position: MovePosition) => number
  /**
   * The next rows in order of key, bodies with the row of their table; empty after the last row. Throws `ConfigurationError` on
   * a body that does not match its checksum.
   */
  readonly read: (table: MovedTable, after: MovePosition) => readonly MovedRow[]
  /** The numbers over time, page by page. */
  readonly statRows: (query: StatQuery) => readonly StatRow[]
  /** What later replays and retention took from jobs, page by page. */
  readonly replayTallies: (after: ReplayTally | undefined) => readonly ReplayTally[]
  readonly close: () => void
}

/** Throws `ConfigurationError`, which names the row, if the store holds something that PostgreSQL cannot hold. */
export function openExport(path: string): Export {
  const db = openForReading(path)
  try {
    refuseInvalidUids(db)
  } catch (error) {
    db.close()
    throw error
  }
  const reads = new Map<MovedTable, ReturnType<DatabaseSync['prepare']>>()
  const prepared = (table: MovedTable) => {
    const statement = reads.get(table) ?? db.prepare(selectOf(table))
    reads.set(table, statement)
    return statement
  }

  function count(sql: string, values: readonly number[]): number {
    return Number(db.prepare(sql).get(...values)?.n)
  }

  return {
    origin: originOf(db),
    count: (table) => count(`SELECT count(*) AS n FROM ${storedIn(table)}`, []),
    countUpTo: (table, { key, ordinal }) =>
      isByOrdinal(table)
        ? count(`SELECT count(*) AS n FROM ${table} WHERE (delivery, ordinal) <= (?, ?)`, [key, ordinal])
        : count(`SELECT count(*) AS n FROM ${storedIn(table)} WHERE key <= ?`, [key]),
    read(table, { key, ordinal }) {
      const batch: MovedRow[] = []
      let bytes = 0
      for (const row of prepared(table).iterate(...(isByOrdinal(table) ? [key, ordinal] : [key]))) {
        const moved = rowOf(table, row)
        bytes += sizeOf(moved)
        if (batch.length > 0 && bytes > MAX_MOVE_BYTES) break
        batch.push(moved)
      }
      return batch
    },
    statRows: prepareReadStats(db).statRows,
    replayTallies: prepareReadTallies(db),
    close: () => db.close(),
  }
}

/** Bodies are read through their events, so that the export finds an event whose body is missing. */
const storedIn = (table: MovedTable): string => (table === 'event_body' ? 'event' : table)

function prepareReadTallies(db: DatabaseSync): Export['replayTallies'] {
  const select = db.prepare(`
    SELECT replay, handler, state, n FROM replay_tally WHERE (replay, handler, state) > (?, ?, ?)
    ORDER BY replay, handler, state LIMIT ${MAX_MOVE_ROWS}
  `)
  return ({ replay, handler, state } = { replay: 0, handler: '', state: '', n: 0 }) =>
    select.all(replay, handler, state) as ReplayTally[]
}

function selectOf(table: MovedTable): string {
  const columns = columnsOf(table)
    .map(([name]) => `${storedIn(table)}.${name}`)
    .join(', ')
  if (isByOrdinal(table))
    return `SELECT ${columns} FROM ${table} WHERE (delivery, ordinal) > (?, ?) ORDER BY delivery, ordinal LIMIT ${MAX_MOVE_ROWS}`
  if (table === 'event_body')
    return `SELECT ${columns}, event.checksum AS body_checksum, event_body.bytes AS body FROM event
      LEFT JOIN event_body ON event_body.key = event.key WHERE event.key > ? ORDER BY event.key LIMIT ${MAX_MOVE_ROWS}`
  return `SELECT ${columns} FROM ${table} WHERE key > ? ORDER BY key LIMIT ${MAX_MOVE_ROWS}`
}

function rowOf(table: MovedTable, row: Readonly<Record<string, SQLOutputValue>>): MovedRow {
  const values = Object.fromEntries(columnsOf(table).map(([name, kind]) => [name, toMoved(kind, row[name])]))
  if (table !== 'event_body') return { values }
  const { body, body_checksum: checksum } = row
  if (!(body instanceof Uint8Array) || hash('sha256', body) !== checksum)
    throw new ConfigurationError([`The event with key ${String(row.key)} ${NO_BODY}.`])
  return { values, bytes: body }
}

function toMoved(kind: MovedKind, value: SQLOutputValue | undefined): MovedValue {
  if (value === null || value === undefined) return null
  if (kind === 'boolean') return value !== 0
  return typeof value === 'number' ? value : String(value)
}

function originOf(db: DatabaseSync): string {
  const first = ['event', 'task'].map((table) => {
    const row = db.prepare(`SELECT uid, created_at FROM ${table} ORDER BY key LIMIT 1`).get()
    return row === undefined ? null : [row.uid, row.created_at]
  })
  return hash('sha256', JSON.stringify(first))
}

const HEX = '[0-9a-f]'
const UUID = [8, 4, 4, 4, 12].map((length) => HEX.repeat(length)).join('-')

function refuseInvalidUids(db: DatabaseSync): void {
  for (const [table, column] of [
    ['event', 'uid'],
    ['task', 'uid'],
    ['task', 'event'],
  ]) {
    const row = db
      .prepare(`SELECT key, ${column} AS strange FROM ${table} WHERE ${column} NOT GLOB ? ORDER BY key LIMIT 1`)
      .get(UUID)
    if (row === undefined) continue
    throw new ConfigurationError([
      `The ${table} with key ${String(row.key)} has the ${column} ${JSON.stringify(row.strange)}, which is not a UUID and was not made by Holdfast: PostgreSQL cannot store it.`,
    ])
  }
}

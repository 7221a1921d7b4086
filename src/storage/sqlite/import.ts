import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { MovedTable } from '../../domain/store-move.ts'
import { columnsOf, type MovedRow, type MovedValue } from '../shared/moved-rows.ts'
import { migrate } from './migrate.ts'
import { fillIdentityIndex } from './rebuild-indexes.ts'

/** Tables that `finish` fills from the others; and the index of payloads, which `holdfast events index` makes again. */
const DERIVED = ['dedupe', 'watermark', 'tally', 'payload_path', 'payload_value']

/** A new database that gets the rows of another store. Nothing is durable before the caller has synced the file. */
export interface FileImport {
  /** Writes rows, all or none; bodies are written with their events. */
  readonly write: (table: Exclude<MovedTable, 'event_body'>, rows: readonly MovedRow[]) => void
  /** Tables that are not moved from one store to another, and their columns. */
  readonly others: ReadonlyMap<string, readonly string[]>
  readonly writeOther: (table: string, rows: readonly Readonly<Record<string, unknown>>[]) => void
  /** Fills what is derived: counts, and the index by which duplicates are found. */
  readonly finish: () => void
  readonly close: () => void
}

/** `path`: an empty file. `moved`: the tables for which `write` is called. */
export function openFileImport(path: string, moved: readonly MovedTable[]): FileImport {
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: false })
  db.exec('PRAGMA page_size = 8192; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF')
  migrate(db, path)
  const statements = new Map<string, StatementSync>()
  const insert = (table: string, columns: readonly string[]): StatementSync => {
    const known =
      statements.get(table) ??
      db.prepare(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
    statements.set(table, known)
    return known
  }
  const names = (table: MovedTable): readonly string[] => columnsOf(table).map(([name]) => name)
  const others = otherTables(db, new Set<string>([...moved, ...DERIVED]))

  return {
    others,
    write(table, rows) {
      const columns = table === 'event' ? [...names('event'), 'headers', 'traceparent'] : names(table)
      const statement = insert(table, columns)
      inTransaction(db, () => {
        for (const { values, bytes } of rows) {
          statement.run(...columns.map((name) => toStored(values[name])))
          if (table === 'event')
            insert('event_body', ['key', 'bytes']).run(toStored(values.key), bytes ?? new Uint8Array())
        }
      })
    },
    writeOther(table, rows) {
      const columns = others.get(table) ?? []
      const statement = insert(table, columns)
      inTransaction(db, () => {
        for (const row of rows) statement.run(...columns.map((name) => storable(row[name])))
      })
    },
    finish() {
      inTransaction(db, () => {
        fillIdentityIndex(db)
        db.exec(DERIVE)
      })
    },
    close: () => db.close(),
  }
}

/** As each migration and each commit of the embedded store has them. */
const DERIVE = `
  UPDATE watermark SET value = coalesce((SELECT max(key) FROM event), 0) WHERE name = 'dedupe';
  INSERT OR REPLACE INTO watermark SELECT 'clock_known', max(received_at) FROM event HAVING max(received_at) IS NOT NULL;
  UPDATE tally SET n = (
    SELECT count(*) FROM delivery WHERE CASE delivery.state WHEN 'blocked' THEN 'pending' ELSE delivery.state END = tally.state
  ) WHERE state NOT LIKE 'task:%';
  UPDATE tally SET n = (SELECT count(*) FROM task WHERE 'task:' || task.status = tally.state) WHERE state LIKE 'task:%';
`

function otherTables(db: DatabaseSync, known: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all()
  return new Map(
    tables
      .map(({ name }) => String(name))
      .filter((name) => !known.has(name) && !name.startsWith('sqlite_'))
      .map((name) => [
        name,
        db
          .prepare(`PRAGMA table_info("${name}")`)
          .all()
          .map((column) => String(column.name)),
      ]),
  )
}

function inTransaction(db: DatabaseSync, work: () => void): void {
  db.exec('BEGIN')
  try {
    work()
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** PostgreSQL has types that SQLite has not. */
function storable(value: unknown): SQLInputValue {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value === 'boolean') return Number(value)
  if (Buffer.isBuffer(value)) return value.toString('hex')
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : ((value ?? null) as SQLInputValue)
}

const toStored = (value: MovedValue | undefined): SQLInputValue =>
  typeof value === 'boolean' ? Number(value) : (value ?? null)

import { ConfigurationError } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { MovedTable } from '../../domain/store-move.ts'
import { postgresTarget } from '../shared/database-url.ts'
import { isByOrdinal, MAX_MOVE_ROWS, type MovedRow, type MovePosition } from '../shared/moved-rows.ts'
import { connectWithRetry } from './connect-with-retry.ts'
import { Connections, type Query, type Row } from './connections.ts'
import { rowOf } from './import.ts'
import { PLACED_DELIVERIES, PLAIN_EVENTS, READS } from './import-statements.ts'
import { SCHEMA_VERSION } from './migrate.ts'

/** The database as it is at one moment. */
export interface PostgresSnapshot {
  readonly count: (table: MovedTable) => Promise<number>
  /** The next rows in order of key; empty after the last one. */
  readonly read: (table: MovedTable, after: MovePosition) => Promise<readonly MovedRow[]>
  /** All rows of a table of any kind, in batches; of the columns those that the database has. None if it has no such table. */
  readonly readOther: (table: string, columns: readonly string[]) => AsyncGenerator<readonly Row[]>
}

/**
 * Calls `use` with the database as it is now. Services go on meanwhile; the server keeps old versions of rows until `use` has ended.
 * Changes nothing, not even the schema. Rejects with `ConfigurationError`.
 */
export async function withSnapshot<Result>(
  databaseUrl: string,
  onLog: StoreLog,
  connectRetryMs: number,
  use: (snapshot: PostgresSnapshot) => Promise<Result>,
): Promise<Result> {
  const target = postgresTarget(databaseUrl)
  const connections = new Connections(target)
  try {
    await connectWithRetry(connectRetryMs, onLog, () => connections.run('move', 'SELECT 1').then(() => {}))
    return await connections.snapshot(async (query) => {
      await refuseOther(query, target.schema)
      return use(snapshotOf(query))
    })
  } finally {
    await connections.close()
  }
}

/** What only this store has is in the form that the embedded one has. */
const EXPORTS = { ...READS, event: PLAIN_EVENTS, delivery: PLACED_DELIVERIES }

function snapshotOf(query: Query): PostgresSnapshot {
  return {
    async count(table) {
      const [row] = await query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)
      return Number(row?.n)
    },
    async read(table, { key, ordinal }) {
      const rows = await query(EXPORTS[table], isByOrdinal(table) ? [key, ordinal] : [key])
      return rows.map((row) => rowOf(table, row))
    },
    async *readOther(table, columns) {
      const known = await query<{ name: string }>(COLUMNS, [table])
      const names = columns.filter((column) => known.some(({ name }) => name === column))
      if (names.length === 0) return
      await query(`DECLARE other NO SCROLL CURSOR FOR SELECT ${names.join(', ')} FROM ${table}`)
      for (;;) {
        const rows = await query(`FETCH ${MAX_MOVE_ROWS} FROM other`)
        if (rows.length === 0) break
        yield rows
      }
      await query('CLOSE other')
    },
  }
}

const COLUMNS = `
  SELECT attname::text AS name FROM pg_attribute
  WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped
`

async function refuseOther(query: Query, schema: string): Promise<void> {
  const [found] = await query<{ versions: string | null }>(`SELECT to_regclass('schema_version')::text AS versions`)
  const hasVersions = typeof found?.versions === 'string'
  const [row] = hasVersions ? await query<{ version: number }>('SELECT version FROM schema_version') : []
  if (row === undefined)
    throw new ConfigurationError([`Schema ${schema} of the database in DATABASE_URL has no store of Holdfast.`])
  if (row.version !== SCHEMA_VERSION)
    throw new ConfigurationError([
      `The database has schema version ${row.version}, and this Holdfast reads version ${SCHEMA_VERSION}: make the backup with the Holdfast that uses the database.`,
    ])
  if ((await query('SELECT FROM move LIMIT 1')).length > 0)
    throw new ConfigurationError(['A move into this database is not finished: finish it first.'])
}

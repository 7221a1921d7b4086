import { HoldfastError } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { BackupRequest } from '../../domain/store-backup.ts'
import { MOVED_TABLES, type MovedTable } from '../../domain/store-move.ts'
import { type PostgresSnapshot, withSnapshot } from '../postgres/export.ts'
import { FROM_START, lineOf, type MovedRow, positionOf } from '../shared/moved-rows.ts'
import { openExport } from '../sqlite/export.ts'
import { type FileImport, openFileImport } from '../sqlite/import.ts'
import { Sum } from './verify.ts'

/** The database may be just starting. */
const CONNECT_RETRY_MS = 5_000

interface Control {
  readonly signal: AbortSignal
  readonly onLog: StoreLog
}

type Sums = ReadonlyMap<MovedTable, Sum>

/**
 * Copies a database in PostgreSQL into an empty file, as an embedded store, and compares each row that was written with the one that was
 * read. Resolves with the greatest key of an event.
 */
export async function copyPostgres(
  { databaseUrl, onProgress }: BackupRequest,
  file: string,
  { signal, onLog }: Control,
): Promise<number> {
  const target = openFileImport(file, MOVED_TABLES)
  const sums: Sums = new Map(MOVED_TABLES.map((table) => [table, new Sum()]))
  let lastKey = 0
  try {
    await withSnapshot(databaseUrl, onLog, CONNECT_RETRY_MS, async (snapshot) => {
      for (const table of MOVED_TABLES) {
        if (table === 'event_body') continue
        const total = await snapshot.count(table)
        let done = 0
        for await (const rows of batchesOf(snapshot, table)) {
          signal.throwIfAborted()
          target.write(table, rows)
          addTo(sums, table, rows)
          done += rows.length
          if (table === 'event') lastKey = Number(rows.at(-1)?.values.key)
          onProgress({ step: 'copying', unit: 'rows', what: table, done, total })
        }
        if (done !== total)
          throw new HoldfastError('conflict', `${done} of ${total} rows of ${table} were read: nothing is backed up.`)
      }
      await copyOthers(snapshot, target, signal)
    })
    target.finish()
  } finally {
    target.close()
  }
  compare(file, sums)
  return lastKey
}

async function copyOthers(snapshot: PostgresSnapshot, target: FileImport, signal: AbortSignal): Promise<void> {
  for (const [table, columns] of target.others) {
    for await (const rows of snapshot.readOther(table, columns)) {
      signal.throwIfAborted()
      target.writeOther(table, rows)
    }
  }
}

/** Batches of rows; those of events with their bodies. */
async function* batchesOf(snapshot: PostgresSnapshot, table: MovedTable): AsyncGenerator<readonly MovedRow[]> {
  for (let position = FROM_START; ; ) {
    const rows = await (table === 'event' ? eventsAfter(snapshot, position) : snapshot.read(table, position))
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.map(wellFormed)
    position = positionOf(table, last)
  }
}

async function eventsAfter(snapshot: PostgresSnapshot, position: typeof FROM_START): Promise<readonly MovedRow[]> {
  const bodies = await snapshot.read('event_body', position)
  const events = await snapshot.read('event', position)
  return events.slice(0, bodies.length).map(({ values }, at) => {
    const body = bodies[at]
    if (body?.bytes === undefined)
      throw new HoldfastError('body_corrupt', `Event ${String(values.uid)} has no body in the database.`)
    return { values: { ...body.values, ...values }, bytes: body.bytes }
  })
}

/** SQLite stores UTF-8, which has no unpaired surrogates. */
const wellFormed = ({ values, ...row }: MovedRow): MovedRow => ({
  ...row,
  values: Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? value.toWellFormed() : value]),
  ),
})

function addTo(sums: Sums, table: MovedTable, rows: readonly MovedRow[]): void {
  for (const row of rows) {
    // The bytes belong to the line of the body alone.
    sums.get(table)?.add(lineOf(table, { values: row.values }))
    if (table === 'event') sums.get('event_body')?.add(lineOf('event_body', row))
  }
}

function compare(file: string, expected: Sums): void {
  const written = openExport(file)
  try {
    for (const [table, sum] of expected) {
      const found = new Sum()
      for (let position = FROM_START; ; ) {
        const rows = written.read(table, position)
        const last = rows.at(-1)
        if (last === undefined) break
        for (const row of rows) found.add(lineOf(table, row))
        position = positionOf(table, last)
      }
      if (!found.equals(sum))
        throw new HoldfastError('conflict', `The rows of ${table} in the copy differ from those in the database.`)
    }
  } finally {
    written.close()
  }
}

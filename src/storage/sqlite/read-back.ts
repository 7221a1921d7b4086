import { hash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import type { Backup, BackupProgress } from '../../domain/store-backup.ts'
import { APPLICATION_ID } from './migrate.ts'

/** How many rows are read between two reports. */
const REPORT_ROWS = 2_000

export interface ReadBack extends Pick<Backup, 'rows' | 'lastEventAtMs'> {
  /** Why it is no good backup; undefined: it is one. */
  readonly fault: string | undefined
}

/**
 * Reads a copy of a store from its first row to its last: the structure of all tables and indexes, the body of each event by its checksum,
 * and whether the events up to `acknowledgedKey` are in it.
 */
export function readBack(
  file: string,
  acknowledgedKey: number,
  onProgress: (progress: BackupProgress) => void,
): ReadBack {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    const rows = rowsIn(db)
    const last = db.prepare('SELECT max(key) AS key, max(received_at) AS at FROM event').get()
    const lastEventAtMs = last?.at === null || last?.at === undefined ? undefined : Number(last.at)
    const missing = acknowledgedKey - Number(last?.key ?? 0)
    const fault =
      missing > 0
        ? `${missing} acknowledged events are missing: the write-ahead log of the database is damaged, or a part of it is gone. Start the service, which says more`
        : (structureFault(db) ?? bodyFault(db, rows.event ?? 0, onProgress))
    return { rows, lastEventAtMs, fault }
  } finally {
    db.close()
  }
}

function rowsIn(db: DatabaseSync): Readonly<Record<string, number>> {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all()
  return Object.fromEntries(
    tables
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith('sqlite_'))
      .map((name) => [name, Number(db.prepare(`SELECT count(*) AS n FROM "${name}"`).get()?.n)]),
  )
}

function structureFault(db: DatabaseSync): string | undefined {
  if (Number(db.prepare('PRAGMA application_id').get()?.application_id) !== APPLICATION_ID)
    return 'it is not a database of Holdfast'
  const found = db.prepare('PRAGMA integrity_check(1)').get()?.integrity_check
  return found === 'ok' ? undefined : `its structure is damaged: ${String(found)}`
}

function bodyFault(
  db: DatabaseSync,
  total: number,
  onProgress: (progress: BackupProgress) => void,
): string | undefined {
  const bodies = db.prepare(
    'SELECT event.uid, checksum, bytes FROM event LEFT JOIN event_body USING (key) ORDER BY event.key',
  )
  let done = 0
  for (const { uid, checksum, bytes } of bodies.iterate()) {
    if (!(bytes instanceof Uint8Array) || hash('sha256', bytes) !== checksum)
      return `the body of event ${String(uid)} does not match its checksum`
    if (++done % REPORT_ROWS === 0) onProgress({ step: 'verifying', unit: 'rows', what: 'events', done, total })
  }
  return undefined
}

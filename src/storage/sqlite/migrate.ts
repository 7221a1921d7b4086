import { readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { StoreRefused } from './errors.ts'

/** In order; an entry's place here, from 1, is the version that it leads to. Never changed once released. */
const MIGRATIONS: readonly (readonly string[])[] = [
  ['001-initial.sql'],
  ['002-tasks.sql'],
  ['003-error-detail.sql'],
  ['004-events.sql', '004-clock.sql', '004-task-turns.sql', '004-dead-order.sql'],
  ['005-order.sql'],
  [
    '006-causes.sql',
    '006-drift.sql',
    '006-replays.sql',
    '006-stats.sql',
    '006-audit.sql',
    '006-outcome.sql',
    '006-pause.sql',
    '006-payload-index.sql',
  ],
  ['007-received.sql'],
  ['008-questions.sql', '008-repeats.sql', '008-beside.sql'],
]

export const SCHEMA_VERSION = MIGRATIONS.length
/** "Hold" in ASCII: marks a database as one of Holdfast, for the command `file` and for `migrate`. */
export const APPLICATION_ID = 0x486f6c64

/**
 * Brings the schema up to date, all or nothing. Throws `StoreRefused` if the database is newer, or belongs to another program.
 */
export function migrate(db: DatabaseSync, path: string): void {
  const version = pragma(db, 'user_version')
  if (version > SCHEMA_VERSION) {
    throw new StoreRefused(
      `The database ${path} has schema version ${version}, newer than the ${SCHEMA_VERSION} that this Holdfast knows: run the newer Holdfast.`,
    )
  }
  if (isForeign(db, version)) throw new StoreRefused(`${path} is a database of another program: choose another path.`)
  if (version === SCHEMA_VERSION) return
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const file of MIGRATIONS.slice(version).flat()) {
      db.exec(readFileSync(new URL(`./migrations/${file}`, import.meta.url), 'utf8'))
    }
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function isForeign(db: DatabaseSync, version: number): boolean {
  if (version > 0) return pragma(db, 'application_id') !== APPLICATION_ID
  return db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined
}

const pragma = (db: DatabaseSync, name: string): number => Number(db.prepare(`PRAGMA ${name}`).get()?.[name])

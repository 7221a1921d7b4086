import type { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../../domain/errors.ts'
import { CONFLICTING } from '../shared/events.ts'
import { extendedCode, isCorruption, isFatal, SQLITE_CORRUPT_INDEX, unlessDamaged } from './errors.ts'
import type { Warnings } from './health.ts'
import { conflictHash, hashesOf, namedOf } from './identity-index.ts'

/**
 * The shortest time between two examinations of all indexes, and the largest share of the time that examinations may take,
 * however much damage is met.
 */
const EXAMINE_INTERVAL_MS = 600_000
const EXAMINE_SHARE = 0.001
/** With more events a rebuild would delay acknowledgements by more than some ten seconds, and take too much memory. */
const MAX_EVENTS = 4_000_000

/** A table or an index that is derived from other tables. */
interface Derived {
  readonly name: string
  /** Creates it. */
  readonly sql: string
  /** A query that fails if a page of it cannot be read. */
  readonly readThrough: string
  /** The statement that fills it, if creating it does not. */
  readonly fill: string | undefined
}

const INDEXES = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
const DEDUPE = "SELECT sql FROM sqlite_schema WHERE name = 'dedupe'"
const FILL_DEDUPE = `
  INSERT INTO dedupe SELECT hash_of_identity(source, id, variant, checksum), key FROM event NOT INDEXED
  UNION SELECT hash_of_conflict(source, id), key FROM event NOT INDEXED WHERE variant = ${CONFLICTING} ORDER BY 1, 2
`

/**
 * Returns a function that rebuilds damaged indexes from their tables, each in a transaction of its own, and returns whether
 * there were any. If the table cannot be read either, the index stays as it is: an event that a rebuilt index lacks would be
 * taken for new.
 *
 * `met`: the error of the statement that failed. An error about a row that an index lacks does not say which index: then all
 * are rebuilt. To be called outside of a transaction. The writer does nothing else meanwhile: about 3 s for a million events.
 */
export function prepareRebuild(
  db: DatabaseSync,
  warnings: Pick<Warnings, 'found'>,
  monotonicMs: () => number = () => performance.now(),
): (met?: unknown) => boolean {
  let notBeforeMs = Number.NEGATIVE_INFINITY
  defineHashes(db)

  function rebuild(derived: Derived): boolean {
    try {
      refuseMany(db)
      replace(db, derived)
      return true
    } catch (error) {
      if (isFatal(error)) throw error
      warnings.found(`${derived.name}, an index, is damaged, and cannot be rebuilt: ${messageOf(error)}`)
      return false
    }
  }

  function rebuildAll(all: readonly Derived[], what: string): boolean {
    const beganAtMs = monotonicMs()
    const rebuilt = all.filter(rebuild)
    if (rebuilt.length === 0) return false
    warnings.found(`${what} rebuilt in ${Math.round(monotonicMs() - beganAtMs)} ms: ${ADVICE}`)
    return true
  }

  return (met) => {
    const beganAtMs = monotonicMs()
    if (beganAtMs < notBeforeMs) return false
    const all = unlessDamaged(() => derivedIn(db)) ?? []
    const lacking = extendedCode(met) === SQLITE_CORRUPT_INDEX ? all.filter(({ fill }) => fill === undefined) : []
    const damaged = all.filter((derived) => !lacking.includes(derived) && isDamaged(db, derived))
    const examinedMs = monotonicMs() - beganAtMs
    const rebuilt = [
      ...damaged.map((derived) => rebuildAll([derived], `${derived.name}, an index, was damaged, and was`)),
      rebuildAll(lacking, 'an index lacked rows, and all indexes were'),
    ]
    notBeforeMs = monotonicMs() + Math.max(EXAMINE_INTERVAL_MS, examinedMs / EXAMINE_SHARE)
    return rebuilt.includes(true)
  }
}

function defineHashes(db: DatabaseSync): void {
  db.function(
    'hash_of_identity',
    { deterministic: true },
    (source, id, variant, checksum) => hashesOf(namedOf({ source, id, variant, checksum }))[0] ?? 0,
  )
  db.function('hash_of_conflict', { deterministic: true }, (source, id) => conflictHash(String(source), String(id)))
}

/** Fills the empty index of identities from all events. */
export function fillIdentityIndex(db: DatabaseSync): void {
  defineHashes(db)
  db.exec(FILL_DEDUPE)
}

const ADVICE = 'nothing is lost, but the disk may be failing: check it, and make a backup'

function derivedIn(db: DatabaseSync): readonly Derived[] {
  const indexes = db
    .prepare(INDEXES)
    .all()
    .map((row) => {
      const [name, table, sql] = [String(row.name), String(row.tbl_name), String(row.sql)]
      const condition = /\sWHERE\s.*$/s.exec(sql)?.[0] ?? ''
      return {
        name,
        sql,
        readThrough: `SELECT total(rowid) FROM ${table} INDEXED BY ${name}${condition}`,
        fill: undefined,
      }
    })
  const dedupe = { name: 'dedupe', sql: String(db.prepare(DEDUPE).get()?.sql), fill: FILL_DEDUPE }
  return [...indexes, { ...dedupe, readThrough: 'SELECT total(event) FROM dedupe' }]
}

function isDamaged(db: DatabaseSync, { readThrough }: Derived): boolean {
  try {
    db.prepare(readThrough).get()
    return false
  } catch (error) {
    return isCorruption(error)
  }
}

function refuseMany(db: DatabaseSync): void {
  const events = Number(
    db.prepare('SELECT (SELECT max(key) FROM event) - (SELECT min(key) FROM event) AS n').get()?.n ?? 0,
  )
  if (events > MAX_EVENTS) throw new Error(`a rebuild with ${events} events would stop the store for too long`)
}

/**
 * A table or an index with a damaged page can be neither emptied nor dropped, but it can be deleted from the schema: its pages
 * stay in the file, and are not used again.
 */
function replace(db: DatabaseSync, { name, sql, fill }: Derived): void {
  db.enableDefensive(false)
  try {
    db.exec('BEGIN IMMEDIATE; PRAGMA writable_schema = ON')
    db.prepare('DELETE FROM sqlite_schema WHERE name = ?').run(name)
    db.exec('PRAGMA writable_schema = RESET')
    db.exec(sql)
    if (fill !== undefined) db.exec(fill)
    db.exec('COMMIT')
  } finally {
    if (db.isTransaction) db.exec('ROLLBACK')
    db.exec('PRAGMA writable_schema = RESET')
    db.enableDefensive(true)
  }
}

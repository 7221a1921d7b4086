import type { DatabaseSync } from 'node:sqlite'
import { type IndexedPath, type IndexedValue, indexedValues, type PayloadPath } from '../../domain/payload-index.ts'
import {
  INDEX_STEP_EVENTS,
  indexedBody,
  indexedPathOf,
  isKept,
  nextToIndex,
  type PathRow,
  takeValues,
  UNINDEXED_KEYS,
} from '../shared/payload-plan.ts'
import { unlessDamaged } from './errors.ts'

const PATHS = 'SELECT id, source, path, complete_from FROM payload_path ORDER BY source, path'

/** Values for the index, of events from a key on and down to another. */
export interface IndexBatch {
  readonly ids: readonly number[]
  readonly from: number
  readonly to: number
  readonly values: readonly (readonly [path: number, value: string, event: number])[]
}

/** Adds values to the index, within the open transaction. */
export interface IndexWriter {
  add(event: number, source: string, values: readonly IndexedValue[]): void
  keepPaths(paths: readonly PayloadPath[]): void
  addIndexed(batch: IndexBatch): void
  forget(event: number): void
}

export function prepareIndexWriter(db: DatabaseSync): IndexWriter {
  const paths = db.prepare(PATHS)
  const nextId = db.prepare(`
    SELECT 1 + max(coalesce((SELECT max(id) FROM payload_path), 0), coalesce((SELECT max(path) FROM payload_value), 0)) AS id
  `)
  const insertPath = db.prepare('INSERT INTO payload_path VALUES (?, ?, ?, ?)')
  const deletePath = db.prepare('DELETE FROM payload_path WHERE id = ?')
  const insert = db.prepare('INSERT OR IGNORE INTO payload_value VALUES (?, ?, ?)')
  const insertStored = db.prepare(
    'INSERT OR IGNORE INTO payload_value SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM event WHERE key = ?3)',
  )
  const advance = db.prepare('UPDATE payload_path SET complete_from = ? WHERE id = ? AND complete_from = ?')
  const remove = db.prepare('DELETE FROM payload_value WHERE event = ?')
  const lastKey = db.prepare('SELECT max(key) AS key FROM event')
  const findPath = db.prepare('SELECT id FROM payload_path WHERE source = ? AND path = ?')

  return {
    add(event, source, values) {
      for (const [path, value] of values) {
        const row = findPath.get(source, path)
        if (row !== undefined) insert.run(Number(row.id), value, event)
      }
    },

    keepPaths(kept) {
      const nextKey = Number(lastKey.get()?.key ?? 0) + 1
      const rows = paths.all() as PathRow[]
      for (const row of rows) if (!isKept(kept, row)) deletePath.run(row.id)
      for (const path of kept)
        if (!isKept(rows, path)) insertPath.run(Number(nextId.get()?.id), path.source, path.path, nextKey)
    },

    addIndexed({ ids, from, to, values }) {
      for (const [path, value, event] of values) insertStored.run(path, value, event)
      for (const id of ids) advance.run(to, id, from)
    },

    forget(event) {
      remove.run(event)
    },
  }
}

type StoredRow = Readonly<{ key: number; headers: string; bytes: Uint8Array | null }>

/** Reads what is in the index, and what is to be added to it. */
export function prepareReadIndex(db: DatabaseSync) {
  const paths = db.prepare(PATHS)
  const lastKey = db.prepare('SELECT max(key) AS key FROM event')
  const firstKey = db.prepare('SELECT min(key) AS key FROM event')
  const stored = db.prepare(`
    SELECT event.key, event.headers, ${indexedBody('event_body.bytes')} FROM event CROSS JOIN event_body ON event_body.key = event.key
    WHERE event.key < ? AND event.key >= ? AND event.source = ? ORDER BY event.key DESC LIMIT ${INDEX_STEP_EVENTS}
  `)
  const rowsOf = (): readonly PathRow[] => paths.all() as PathRow[]

  return {
    indexedPaths: (): readonly IndexedPath[] => {
      const last = Number(lastKey.get()?.key ?? 0)
      return rowsOf().map((row) => indexedPathOf(row, last))
    },

    /** The values of the next events that are not in the index; undefined: all are. */
    indexBatch: (): IndexBatch | undefined => {
      const rows = nextToIndex(rowsOf())
      const [first] = rows
      if (first === undefined) return undefined
      const from = first.complete_from ?? 0
      const down = Math.max(0, from - UNINDEXED_KEYS)
      // A damaged page hides its events from the index as from every search.
      const found = (unlessDamaged(() => stored.all(from, down, first.source)) ?? []) as StoredRow[]
      const { values, last } = takeValues(found, ({ key, headers, bytes }) => {
        const contentType = (JSON.parse(headers) as Record<string, string>)['content-type']
        const at = (path: string) => indexedValues([path], bytes, contentType)
        return rows.flatMap(({ id, path }) => at(path).map(([, value]) => [id, value, key] as const))
      })
      const reached = last ?? down
      const to = reached <= Number(firstKey.get()?.key ?? 0) ? 0 : reached
      return { ids: rows.map(({ id }) => id), from, to, values }
    },
  }
}

import type { DatabaseSync } from 'node:sqlite'
import {
  type DriftEntry,
  type DriftFilter,
  MAX_DRIFT_ENTRIES,
  type ShapeSave,
  type StoredShape,
} from '../../domain/drift-store.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import { checkShape, type DriftRow, driftConditions, driftEntryOf, driftPosition } from '../shared/drift.ts'
import { cutPage, startOf } from '../shared/list-pages.ts'
import { kindConditions } from './event-conditions.ts'
import { StatementCache } from './statement-cache.ts'

/** What the writer thread does for `domain/drift-store.ts`. */
export function prepareDrift(db: DatabaseSync) {
  const insert = db.prepare(
    'INSERT INTO shape (source, type, version, saved_at, shape) VALUES (?, ?, 1, ?, ?) ON CONFLICT DO NOTHING',
  )
  const update = db.prepare(
    'UPDATE shape SET version = version + 1, saved_at = ?, shape = ? WHERE source = ? AND type = ? AND version = ?',
  )
  const add = db.prepare(
    'INSERT INTO drift (source, type, path, what, from_kinds, to_kinds, at, event) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  )
  const oldest = db.prepare(`SELECT at FROM drift ORDER BY at DESC, key DESC LIMIT 1 OFFSET ${MAX_DRIFT_ENTRIES}`)
  const forget = db.prepare('DELETE FROM drift WHERE at < ? OR at <= ?')
  const forgetShapes = db.prepare('DELETE FROM shape WHERE saved_at < ?')

  return {
    saveShape(save: ShapeSave): boolean {
      checkShape(save)
      const { source, type, version, shape, savedAtMs, entries } = save
      const { changes } =
        version === 0 ? insert.run(source, type, savedAtMs, shape) : update.run(savedAtMs, shape, source, type, version)
      if (changes === 0) return false
      for (const { path, what, from = null, to = null, atMs, event } of entries)
        add.run(source, type, path, what, from, to, atMs, event)
      return true
    },
    pruneDrift(entriesBeforeMs: number, shapesBeforeMs: number): number {
      const overflow = Number(oldest.get()?.at ?? Number.MIN_SAFE_INTEGER)
      return Number(forget.run(entriesBeforeMs, overflow).changes) + Number(forgetShapes.run(shapesBeforeMs).changes)
    },
  }
}

/** What the reader thread does for it. */
export function prepareReadDrift(db: DatabaseSync) {
  const select = db.prepare('SELECT version, shape FROM shape WHERE source = ? AND type = ?')
  const statements = new StatementCache(db)
  return {
    readShape: (source: string, type: string): StoredShape | undefined =>
      select.get(source, type) as unknown as StoredShape | undefined,
    driftEntries(filter: DriftFilter, page: PageRequest): Page<DriftEntry> {
      const conditions = [...kindConditions(filter), ...driftConditions(filter, startOf('drift', page))]
      const rows = statements.all('SELECT * FROM drift', conditions, 'ORDER BY at DESC, key DESC LIMIT ?', [
        page.limit + 1,
      ]) as unknown as DriftRow[]
      const { shown, nextCursor } = cutPage('drift', page, { rows, end: undefined }, driftPosition)
      return { items: shown.map(driftEntryOf), nextCursor }
    },
  }
}

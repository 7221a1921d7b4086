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
import { type Connections, type Row, select } from './connections.ts'
import { escapeText } from './escape-text.ts'
import { kindConditions } from './event-conditions.ts'

const READ = { name: 'read-shape', text: 'SELECT version, shape FROM shape WHERE source = $1 AND type = $2' }
const SAVE = {
  name: 'save-shape',
  text: `
    WITH saved AS (
      INSERT INTO shape AS s (source, type, version, saved_at, shape) SELECT $1, $2, 1, $4, $5 WHERE $3::bigint = 0
      ON CONFLICT DO NOTHING RETURNING 1
    ), moved AS (
      UPDATE shape SET version = version + 1, saved_at = $4, shape = $5
      WHERE source = $1 AND type = $2 AND version = $3::bigint AND $3::bigint > 0 RETURNING 1
    ), one AS MATERIALIZED (
      SELECT (SELECT count(*) FROM saved) + (SELECT count(*) FROM moved) AS n
    ), added AS (
      INSERT INTO drift (source, type, path, what, from_kinds, to_kinds, at, event)
      SELECT $1, $2, x.path, x.what, x."from", x."to", x.at, x.event
      FROM json_to_recordset($6) AS x (path text, what text, "from" text, "to" text, at bigint, event text)
      WHERE (SELECT n FROM one) > 0
    )
    SELECT n::integer AS saved FROM one
  `,
}
const PRUNE = {
  name: 'prune-drift',
  text: `
    WITH overflow AS (
      SELECT at FROM drift ORDER BY at DESC, key DESC OFFSET ${MAX_DRIFT_ENTRIES} LIMIT 1
    ), gone AS (
      DELETE FROM drift WHERE at < $1 OR at <= (SELECT at FROM overflow) RETURNING 1
    ), shapes AS (
      DELETE FROM shape WHERE saved_at < $2 RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM shapes) AS n
  `,
}

export function createDrift(connections: Connections) {
  return {
    readShape: async (source: string, type: string): Promise<StoredShape | undefined> => {
      const [row] = await connections.run<StoredShape & Row>('read', READ, [source, escapeText(type)])
      return row === undefined ? undefined : { version: row.version, shape: row.shape }
    },

    saveShape: async (save: ShapeSave): Promise<boolean> => {
      checkShape(save)
      const { source, type, version, shape, savedAtMs, entries } = save
      const rows = entries.map(({ path, what, from, to, atMs, event }) => ({
        path: escapeText(path),
        what,
        from,
        to,
        at: atMs,
        event,
      }))
      const values = [source, escapeText(type), version, savedAtMs, escapeText(shape), JSON.stringify(rows)]
      const [row] = await connections.run<{ saved: number }>('lease', SAVE, values)
      return row?.saved === 1
    },

    driftEntries: async (filter: DriftFilter, page: PageRequest): Promise<Page<DriftEntry>> => {
      const start = startOf('drift', page)
      const conditions = [...kindConditions(filter), ...driftConditions(filter, start)]
      const rows = await select<DriftRow>(
        connections,
        'SELECT * FROM drift',
        conditions,
        'ORDER BY at DESC, key DESC LIMIT ?',
        [page.limit + 1],
      )
      const { shown, nextCursor } = cutPage('drift', page, { rows, end: undefined }, driftPosition)
      return { items: shown.map(driftEntryOf), nextCursor }
    },

    pruneDrift: async (entriesBeforeMs: number, shapesBeforeMs: number): Promise<number> => {
      const [row] = await connections.run<{ n: number }>('work', PRUNE, [entriesBeforeMs, shapesBeforeMs])
      return row?.n ?? 0
    },
  }
}

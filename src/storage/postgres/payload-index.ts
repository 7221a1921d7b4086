import type { PayloadIndex, PayloadPath } from '../../domain/payload-index.ts'
import { indexedValues } from '../../domain/payload-index.ts'
import { REPLICA_TIMEOUT_MS } from '../../domain/replica-registry.ts'
import {
  INDEX_STEP_EVENTS,
  indexedBody,
  indexedPathOf,
  nextToIndex,
  type PathRow,
  takeValues,
  UNINDEXED_KEYS,
} from '../shared/payload-plan.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Row } from './connections.ts'
import { escapeText } from './escape-text.ts'
import type { Operations } from './open-operations.ts'

const KEEP = { name: 'keep-paths', text: 'SELECT keep_paths_1($1, $2::jsonb, $3)' }
const BEGIN = { name: 'begin-paths', text: 'SELECT begin_paths_1()' }
const DROP = {
  name: 'drop-paths',
  text: 'DELETE FROM payload_path AS p WHERE NOT $1::jsonb @> jsonb_build_array(jsonb_build_array(p.source, p.path))',
}
export const PATHS = {
  name: 'payload-paths',
  text: 'SELECT id, source, path, complete_from FROM payload_path ORDER BY source, path',
}
const LAST_KEY = { name: 'last-key', text: 'SELECT coalesce(max(key), 0) AS key FROM event' }
const BEGUN = {
  name: 'begun-paths',
  text: `
    SELECT id, source, path, complete_from FROM payload_path
    WHERE begun_by < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY source, path
  `,
}
const STORED = {
  name: 'to-index',
  text: `
    SELECT event.key, b.headers, ${indexedBody('b.bytes')} FROM event
    JOIN event_body AS b ON b.day = day_1(event.received_at) AND b.key = event.key
    WHERE event.key < $1 AND event.key >= $2 AND event.source = $3 ORDER BY event.key DESC LIMIT $4
  `,
}
const FIRST_KEY = { name: 'first-key', text: 'SELECT coalesce(min(key), 0) AS key FROM event' }
const ADD = {
  name: 'add-indexed',
  text: `
    WITH added AS (
      INSERT INTO payload_value (path, value, event)
      SELECT x.path, x.value, x.event FROM json_to_recordset($1) AS x (path bigint, value text, event bigint)
      WHERE EXISTS (SELECT FROM event WHERE event.key = x.event) ON CONFLICT DO NOTHING
    )
    UPDATE payload_path SET complete_from = $4 WHERE id = ANY ($2::bigint[]) AND complete_from = $3
  `,
}

/** Values for the index, of events from a key on and down to another. */
export interface IndexBatch {
  readonly ids: readonly number[]
  readonly from: number
  readonly to: number
  readonly values: readonly { readonly path: number; readonly value: string; readonly event: number }[]
}

interface StoredRow extends Row {
  readonly key: number
  readonly headers: string
  readonly bytes: Buffer | null
}

/** Reads the values of the next events that are not in the index; undefined: nothing is left. To be run in the thread for scans. */
export function createIndexBatch(connections: Connections) {
  return async (): Promise<IndexBatch | undefined> => {
    const all = await connections.run<PathRow>('read', PATHS)
    if (nextToIndex(all).length === 0) return undefined
    const rows = nextToIndex(await connections.run<PathRow>('read', BEGUN))
    const [first] = rows
    // Appends that began before the index have not ended yet.
    if (first === undefined) return { ids: [], from: 0, to: 0, values: [] }
    const from = first.complete_from ?? 0
    const down = Math.max(0, from - UNINDEXED_KEYS)
    const found = await connections.run<StoredRow>('read', STORED, [from, down, first.source, INDEX_STEP_EVENTS])
    const { values, last } = takeValues(found, ({ key, headers, bytes }) => {
      const contentType = (JSON.parse(headers) as Record<string, string>)['content-type']
      return rows.flatMap(({ id, path }) =>
        indexedValues([path], bytes, contentType).map(([, value]) => ({ path: id, value, event: key })),
      )
    })
    const reached = last ?? down
    const [oldest] = await connections.run<{ key: number }>('read', FIRST_KEY)
    const to = reached <= (oldest?.key ?? 0) ? 0 : reached
    return { ids: rows.map(({ id }) => id), from, to, values }
  }
}

export interface StoredIndex extends PayloadIndex {
  /** The paths of this replica, as `replica.paths` has them. */
  readonly declared: () => string
  /** Begins what no running replica stands against any more. */
  readonly begin: () => Promise<void>
}

export function createPayloadIndex(
  connections: Connections,
  clock: DatabaseClock,
  indexBatch: () => Promise<IndexBatch | undefined>,
): StoredIndex {
  let declared = '[]'

  async function begin(): Promise<void> {
    if (declared === '[]') return
    await connections.run('work', KEEP, [clock.givenMs(), declared, REPLICA_TIMEOUT_MS])
    await connections.run('work', BEGIN)
  }

  return {
    declared: () => declared,
    begin,

    async keepPaths(paths: readonly PayloadPath[]) {
      declared = JSON.stringify(paths.map(({ source, path }) => [source, escapeText(path)]))
      await connections.run('work', DROP, [declared])
      await begin()
    },

    async indexedPaths() {
      const rows = await connections.run<PathRow>('read', PATHS)
      const [last] = await connections.run<{ key: number }>('read', LAST_KEY)
      return rows.map((row) => indexedPathOf(row, last?.key ?? 0))
    },

    async indexStep() {
      const batch = await indexBatch()
      if (batch === undefined) return false
      const { ids, from, to, values } = batch
      const rows = JSON.stringify(values.map((each) => ({ ...each, value: escapeText(each.value) })))
      if (ids.length > 0) await connections.run('work', ADD, [rows, ids, from, to])
      return true
    },
  }
}

export const portOf = (index: StoredIndex, operations: Operations): PayloadIndex => ({
  keepPaths: operations.while((paths) => index.keepPaths(paths)),
  indexedPaths: operations.while(() => index.indexedPaths()),
  indexStep: operations.while(() => index.indexStep()),
})

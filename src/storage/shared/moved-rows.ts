import { hash } from 'node:crypto'
import type { MovedTable } from '../../domain/store-move.ts'

/** Rows and bytes of one batch of a move; a row that is larger is a batch of its own. */
export const MAX_MOVE_ROWS = 500
export const MAX_MOVE_BYTES = 4 * 1024 * 1024

export type MovedValue = string | number | boolean | null

/** The type of a column. `hex`: text in SQLite, bytes in PostgreSQL. */
export type MovedKind = 'text' | 'uuid' | 'integer' | 'boolean' | 'hex'

/** The columns of both stores, without the bytes of bodies, in the order in which rows are checksummed. */
const MOVED_COLUMNS = {
  event: {
    key: 'integer',
    uid: 'uuid',
    source: 'text',
    provider: 'text',
    id: 'text',
    variant: 'integer',
    type: 'text',
    created_at: 'text',
    received_at: 'integer',
    origin: 'text',
    status: 'text',
    reasons: 'text',
    task: 'text',
    api_version: 'text',
    checksum: 'hex',
    size: 'integer',
    task_end: 'text',
    task_word: 'text',
    created_at_source: 'text',
    by_body: 'integer',
    order_keys: 'text',
    received_from: 'text',
    verified_by: 'text',
  },
  event_body: { key: 'integer', headers: 'text', traceparent: 'text' },
  delivery: {
    key: 'integer',
    handler: 'text',
    state: 'text',
    due_at: 'integer',
    attempts: 'integer',
    isolated: 'boolean',
    lease: 'text',
    lease_until: 'integer',
    started_at: 'integer',
    last_error: 'text',
    order_key: 'integer',
    held_for: 'text',
    cause: 'integer',
    replay: 'integer',
  },
  attempt: {
    delivery: 'integer',
    ordinal: 'integer',
    number: 'integer',
    outcome: 'text',
    error: 'text',
    started_at: 'integer',
    duration_ms: 'integer',
    detail: 'text',
  },
  event_repeat: { key: 'integer', n: 'integer', last_at: 'integer', last_from: 'text' },
  task: {
    key: 'integer',
    uid: 'uuid',
    source: 'text',
    id: 'text',
    status: 'text',
    word: 'text',
    request: 'text',
    metadata: 'text',
    idempotency_key: 'text',
    fingerprint: 'text',
    created_at: 'integer',
    stale_at: 'integer',
    expires_at: 'integer',
    due_at: 'integer',
    lease: 'text',
    polls: 'integer',
    failures: 'integer',
    last_error: 'text',
    ended_at: 'integer',
    resolved_by: 'text',
    event: 'uuid',
  },
  task_question: {
    key: 'integer',
    n: 'integer',
    at: 'integer',
    duration_ms: 'integer',
    kind: 'text',
    asked_by: 'text',
    outcome: 'text',
    word: 'text',
    error: 'text',
  },
  cause: {
    key: 'integer',
    id: 'text',
    handler: 'text',
    source: 'text',
    signature: 'text',
    at: 'text',
    first_at: 'integer',
    seen_at: 'integer',
  },
  replay: {
    key: 'integer',
    id: 'uuid',
    asked_by: 'text',
    filter: 'text',
    handler: 'text',
    per_second: 'integer',
    probe: 'text',
    matched: 'integer',
    matched_more: 'integer',
    state: 'text',
    reason: 'text',
    created_at: 'integer',
    started_at: 'integer',
    ended_at: 'integer',
    replayed: 'integer',
    skipped: 'integer',
    skips: 'text',
    cursor: 'integer',
    bound: 'integer',
    lease: 'text',
    lease_until: 'integer',
  },
  replay_mark: { delivery: 'integer', ordinal: 'integer', replay: 'uuid' },
  pause: { key: 'integer', kind: 'text', name: 'text', since: 'integer', paused_by: 'text', reason: 'text' },
  drift: {
    key: 'integer',
    source: 'text',
    type: 'text',
    path: 'text',
    what: 'text',
    from_kinds: 'text',
    to_kinds: 'text',
    at: 'integer',
    event: 'text',
  },
  audit: {
    key: 'integer',
    at: 'integer',
    action: 'text',
    target: 'text',
    n: 'integer',
    outcome: 'text',
    status: 'integer',
    reason: 'text',
    actor: 'text',
    token_place: 'integer',
    claimed_name: 'text',
    peer: 'text',
    agent: 'text',
  },
} as const satisfies Readonly<Record<MovedTable, Readonly<Record<string, MovedKind>>>>

export const columnsOf = (table: MovedTable): readonly (readonly [name: string, kind: MovedKind])[] =>
  Object.entries(MOVED_COLUMNS[table])

/** A row, in the same form for both stores. */
export interface MovedRow {
  readonly values: Readonly<Record<string, MovedValue>>
  /** The body of an `event_body`. */
  readonly bytes?: Uint8Array
  /** The target could not recognize duplicates of this event, because the key of its identity is missing there. */
  readonly forgotten?: true
}

/** Tables whose rows are in order of delivery and ordinal; the rows of others are in order of key. */
export const isByOrdinal = (table: MovedTable): boolean => table === 'attempt' || table === 'replay_mark'

/** A place in a table; `ordinal` counts only for tables in order of ordinal. */
export interface MovePosition {
  readonly key: number
  readonly ordinal: number
}

export const FROM_START: MovePosition = { key: Number.MIN_SAFE_INTEGER, ordinal: 0 }

export function positionOf(table: MovedTable, { values }: MovedRow): MovePosition {
  return isByOrdinal(table)
    ? { key: Number(values.delivery), ordinal: Number(values.ordinal) }
    : { key: Number(values.key), ordinal: 0 }
}

export const comparePositions = (a: MovePosition, b: MovePosition): number => a.key - b.key || a.ordinal - b.ordinal

export const describePosition = (table: MovedTable, { key, ordinal }: MovePosition): string =>
  isByOrdinal(table) ? `${key}/${ordinal}` : String(key)

/** The form that is compared and checksummed; different rows have different forms. */
export function lineOf(table: MovedTable, { values, bytes }: MovedRow): string {
  const cells: MovedValue[] = columnsOf(table).map(([name]) => values[name] ?? null)
  if (bytes !== undefined) cells.push(hash('sha256', bytes))
  return `${JSON.stringify(cells)}\n`
}

/** About as many bytes as a row takes up in a batch. */
export function sizeOf({ values, bytes }: MovedRow): number {
  let size = bytes?.length ?? 0
  for (const value of Object.values(values)) size += typeof value === 'string' ? value.length : 8
  return size
}

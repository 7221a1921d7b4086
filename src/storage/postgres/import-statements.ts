import type { MovedTable } from '../../domain/store-move.ts'
import { columnsOf, isByOrdinal, MAX_MOVE_BYTES, MAX_MOVE_ROWS, type MovedKind } from '../shared/moved-rows.ts'
import type { Statement } from './connections.ts'

/** Tables that are written by statements of their own; bodies are written with their events. */
export type WrittenTable = Exclude<MovedTable, 'event_body'>

const JSON_TYPES: Readonly<Record<MovedKind, string>> = {
  text: 'text',
  uuid: 'uuid',
  integer: 'bigint',
  boolean: 'boolean',
  hex: 'text',
}

const names = (table: MovedTable): string =>
  columnsOf(table)
    .map(([name]) => name)
    .join(', ')
const typed = (table: MovedTable): string =>
  columnsOf(table)
    .map(([name, kind]) => `${name} ${JSON_TYPES[kind]}`)
    .join(', ')
const fromJson = (table: MovedTable): string =>
  columnsOf(table)
    .map(([name, kind]) => (kind === 'hex' ? `decode(x.${name}, 'hex')` : `x.${name}`))
    .join(', ')

/** $1: JSON array of rows in order of key. */
const insert = (table: WrittenTable): Statement => ({
  name: `move-${table}`,
  text: `INSERT INTO ${table} (${names(table)}) SELECT ${fromJson(table)} FROM json_to_recordset($1) AS x (${typed(table)})`,
})

/** `event_key.variant` of an event. */
const variantName = (checksum: string, row = 'x'): string =>
  `CASE ${row}.variant WHEN 0 THEN '' WHEN 1 THEN ${checksum} ELSE 'q'::bytea || ${checksum} END`

/**
 * Events, their bodies ($2: one after the other), and the keys by which their duplicates are found. Polls can bring several first
 * events of a source and id: the key leads to the oldest, as in the SQLite store.
 */
const INSERT_EVENTS: Statement = {
  name: 'move-event',
  text: `
    WITH x AS MATERIALIZED (
      SELECT * FROM json_to_recordset($1)
      AS r (${typed('event')}, headers text, traceparent text, body_from integer, body_size integer)
    ),
    kept AS (INSERT INTO event (${names('event')}) SELECT ${fromJson('event')} FROM x),
    bodies AS (
      INSERT INTO event_body (day, key, headers, traceparent, bytes)
      SELECT day_1(x.received_at), x.key, x.headers, x.traceparent, substring($2::bytea FROM x.body_from FOR x.body_size) FROM x
    ),
    body_keys AS (
      INSERT INTO body_key (source, checksum, is_understood, event)
      SELECT x.source, decode(x.checksum, 'hex'), x.variant <> 2, x.key FROM x WHERE x.by_body = 1 ORDER BY x.key
      ON CONFLICT DO NOTHING
    )
    INSERT INTO event_key (source, id, variant, event)
    SELECT x.source, x.id, ${variantName("decode(x.checksum, 'hex')")}, x.key FROM x ORDER BY x.key
    ON CONFLICT DO NOTHING
  `,
}

const ATTEMPT = columnsOf('attempt')
  .map(([name]) => name)
  .filter((name) => name !== 'detail')
  .join(', ')
/** Inserts attempts, and their details, which PostgreSQL has in a table of their own. */
const INSERT_ATTEMPTS: Statement = {
  name: 'move-attempt',
  text: `
    WITH x AS MATERIALIZED (SELECT * FROM json_to_recordset($1) AS r (${typed('attempt')})),
    kept AS (INSERT INTO attempt (${ATTEMPT}) SELECT ${ATTEMPT} FROM x)
    INSERT INTO attempt_detail (delivery, ordinal, detail) SELECT delivery, ordinal, detail FROM x WHERE detail IS NOT NULL
  `,
}

export const INSERTS: Readonly<Record<WrittenTable, Statement>> = {
  event: INSERT_EVENTS,
  delivery: insert('delivery'),
  attempt: INSERT_ATTEMPTS,
  event_repeat: insert('event_repeat'),
  task: insert('task'),
  task_question: insert('task_question'),
  cause: insert('cause'),
  replay: insert('replay'),
  replay_mark: insert('replay_mark'),
  drift: insert('drift'),
  audit: insert('audit'),
  pause: insert('pause'),
}

const position = (table: WrittenTable): Statement => ({
  name: `move-position-${table}`,
  text: isByOrdinal(table)
    ? `SELECT delivery AS key, ordinal FROM ${table} ORDER BY delivery DESC, ordinal DESC LIMIT 1`
    : `SELECT key, 0 AS ordinal FROM ${table} ORDER BY key DESC LIMIT 1`,
})

export const POSITIONS: Readonly<Record<WrittenTable, Statement>> = {
  event: position('event'),
  delivery: position('delivery'),
  attempt: position('attempt'),
  event_repeat: position('event_repeat'),
  task: position('task'),
  task_question: position('task_question'),
  cause: position('cause'),
  replay: position('replay'),
  replay_mark: position('replay_mark'),
  drift: position('drift'),
  audit: position('audit'),
  pause: position('pause'),
}

const readBack = (table: MovedTable): Statement => ({
  name: `move-read-${table}`,
  text: `SELECT ${names(table)} FROM ${table} WHERE key > $1 ORDER BY key LIMIT ${MAX_MOVE_ROWS}`,
})

/** Reads as many bodies as make one batch, and at least one. An event without a body gives a row, too. */
const READ_BODIES: Statement = {
  name: 'move-read-event_body',
  text: `
    WITH page AS (
      SELECT key, received_at, size, sum(size) OVER (ORDER BY key) AS total
      FROM event WHERE key > $1 ORDER BY key LIMIT ${MAX_MOVE_ROWS}
    )
    SELECT page.key, b.headers, b.traceparent, b.bytes FROM page
    LEFT JOIN event_body AS b ON b.day = day_1(page.received_at) AND b.key = page.key
    WHERE page.total <= ${MAX_MOVE_BYTES} OR page.total = page.size ORDER BY page.key
  `,
}

const READ_EVENTS: Statement = {
  name: 'move-read-event',
  text: `
    SELECT ${names('event')}, EXISTS (
      SELECT FROM event_key AS k WHERE k.source = event.source AND k.id = event.id
        AND k.variant = ${variantName('event.checksum', 'event')} AND k.event <= event.key
    ) AND (event.by_body IS NULL OR EXISTS (
      SELECT FROM body_key AS b WHERE b.source = event.source AND b.checksum = event.checksum
        AND b.is_understood = (event.variant <> 2) AND b.event <= event.key
    )) AS is_known FROM event WHERE key > $1 ORDER BY key LIMIT ${MAX_MOVE_ROWS}
  `,
}

/** As `READS`, but without whether a duplicate of an event would be known. */
export const PLAIN_EVENTS = { ...readBack('event'), name: 'export-event' }
const PLACED = `CASE
  WHEN state <> 'unplaced' THEN state
  WHEN key = first_waiting_1(handler, order_key) AND NOT has_head_1(handler, order_key) THEN 'pending'
  ELSE 'blocked'
END AS state`
/** As `READS`, but an unplaced delivery has the state that `place_1` would give it: the embedded store has no such state. */
export const PLACED_DELIVERIES: Statement = {
  name: 'export-delivery',
  text: `
    SELECT ${columnsOf('delivery')
      .map(([name]) => (name === 'state' ? PLACED : name))
      .join(', ')}
    FROM delivery WHERE key > $1 ORDER BY key LIMIT ${MAX_MOVE_ROWS}
  `,
}

/** The next rows in order of key, after the position $1 (in tables in order of ordinal $1 and $2). */
export const READS: Readonly<Record<MovedTable, Statement>> = {
  event: READ_EVENTS,
  event_body: READ_BODIES,
  delivery: readBack('delivery'),
  attempt: {
    name: 'move-read-attempt',
    text: `
      SELECT ${ATTEMPT}, detail FROM attempt LEFT JOIN attempt_detail USING (delivery, ordinal)
      WHERE (delivery, ordinal) > ($1, $2) ORDER BY delivery, ordinal LIMIT ${MAX_MOVE_ROWS}
    `,
  },
  event_repeat: readBack('event_repeat'),
  task: readBack('task'),
  task_question: readBack('task_question'),
  cause: readBack('cause'),
  replay: readBack('replay'),
  replay_mark: {
    name: 'move-read-replay-mark',
    text: `
      SELECT ${names('replay_mark')} FROM replay_mark WHERE (delivery, ordinal) > ($1, $2)
      ORDER BY delivery, ordinal LIMIT ${MAX_MOVE_ROWS}
    `,
  },
  drift: readBack('drift'),
  audit: readBack('audit'),
  pause: readBack('pause'),
}

/** Adds the rows, or writes them again. */
export const INSERT_TALLIES: Statement = {
  name: 'move-insert-replay-tally',
  text: `
    INSERT INTO replay_tally (replay, handler, state, n)
    SELECT replay, handler, state, n FROM json_to_recordset($1) AS x (replay bigint, handler text, state text, n bigint)
    ON CONFLICT (replay, handler, state) DO UPDATE SET n = excluded.n
  `,
}

/** What makes a database unfit for a move, and where it is. */
const CONTENTS = {
  events: ['event', 'event_key', 'body_key', 'event_body', 'delivery', 'attempt', 'event_repeat'],
  tasks: ['task', 'task_question'],
  'causes of dead letters': ['cause'],
  replays: ['replay'],
  'changes of payloads': ['drift'],
  pauses: ['pause'],
  'audit entries (a complete move leaves one)': ['audit'],
}
const anyOf = (tables: readonly string[]): string => tables.map((table) => `EXISTS (SELECT FROM ${table})`).join(' OR ')
export const HELD = `SELECT array_remove(ARRAY[${Object.entries(CONTENTS)
  .map(([name, tables]) => `CASE WHEN ${anyOf(tables)} THEN '${name}' END`)
  .join(', ')}], NULL) AS held`

/** These statements move the sequences past the moved keys, and never back. */
export const ADVANCE_KEYS = [
  ['event', "'event_key_seq'::regclass"],
  ['task', "pg_get_serial_sequence('task', 'key')::regclass"],
  ['cause', "pg_get_serial_sequence('cause', 'key')::regclass"],
  ['replay', "pg_get_serial_sequence('replay', 'key')::regclass"],
  ['pause', "pg_get_serial_sequence('pause', 'key')::regclass"],
  ['drift', "pg_get_serial_sequence('drift', 'key')::regclass"],
  ['audit', "pg_get_serial_sequence('audit', 'key')::regclass"],
].map(
  ([table, sequence]) =>
    `SELECT setval(${sequence}, max(key)) FROM ${table} HAVING max(key) >= coalesce(pg_sequence_last_value(${sequence}), 0)`,
)

import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { openAt, ownPath, withDatabase } from './database-file.ts'

/** Columns by table. */
type Schema = Readonly<Record<string, readonly string[]>>

async function sqliteSchema(): Promise<Schema> {
  const path = ownPath()
  await (await openAt(path)).close()
  return withDatabase(path, (db) =>
    Object.fromEntries(
      db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .all()
        .map(({ name }) => [
          String(name),
          db
            .prepare('SELECT name FROM pragma_table_info(?) ORDER BY name')
            .all(String(name))
            .map((column) => String(column.name)),
        ]),
    ),
  )
}

async function postgresSchema(): Promise<Schema> {
  const url = ownSchema()
  const store = await openStore(url)
  onTestFinished(() => store.close())
  const rows = await queryIn<{ table: string; columns: string[] }>(
    url,
    `SELECT c.relname::text AS table, array_agg(a.attname::text ORDER BY a.attname) AS columns
     FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     GROUP BY c.relname ORDER BY c.relname`,
  )
  return Object.fromEntries(rows.map(({ table, columns }) => [table, columns]))
}

const without = (names: readonly string[] = [], gone: readonly string[] = []) =>
  names.filter((name) => !gone.includes(name))

test('both stores have the same tables and columns, except those that each one needs for itself', async () => {
  const [sqlite, postgres] = await Promise.all([sqliteSchema(), postgresSchema()])
  for (const table of [
    'audit',
    'cause',
    'delivery',
    'episode',
    'event_repeat',
    'stat',
    'task',
    'replay',
    'replay_mark',
    'replay_tally',
    'shape',
    'drift',
  ])
    expect(postgres[table], table).toEqual(sqlite[table])
  expect(postgres.payload_value).toEqual(sqlite.payload_value)
  // Only there events may come late, with keys before those that the index has.
  expect(without(postgres.payload_path, ['begun_by'])).toEqual(sqlite.payload_path)
  for (const table of ['audit', 'pause', 'delivery', 'task', 'task_question'])
    expect(postgres[table], table).toEqual(sqlite[table])
  // Here each transaction adds rows of its own to it.
  expect(without(postgres.tally, ['at'])).toEqual(sqlite.tally)
  // A table that replicas of an older release read gets no other column.
  expect(postgres.attempt).toEqual(without(sqlite.attempt, ['detail']))
  expect(postgres.attempt_detail).toEqual(['delivery', 'detail', 'ordinal'])
  // With PostgreSQL the heavy part of an event is in the partition of its day.
  const heavy = ['headers', 'traceparent']
  expect(postgres.event).toEqual(without(sqlite.event, heavy))
  expect(without(postgres.event_body, [...heavy, 'day'])).toEqual(sqlite.event_body)

  const replays = ['replay', 'replay_mark', 'replay_tally']
  const own = [
    'attempt',
    'audit',
    'pause',
    'cause',
    'delivery',
    'episode',
    'event',
    'event_body',
    'event_repeat',
    'stat',
    'tally',
    'task',
    'task_question',
  ]
  const shared = [...own, ...replays, 'shape', 'drift', 'payload_path', 'payload_value']
  expect(without(Object.keys(sqlite), shared)).toEqual(['dedupe', 'watermark'])
  expect(without(Object.keys(postgres), shared)).toEqual([
    'attempt_detail',
    'body_key',
    'clock_record',
    'event_key',
    'known_handler',
    'late_entry',
    'lease_holder',
    'move',
    'replica',
    'schema_version',
    'watermark',
  ])
})

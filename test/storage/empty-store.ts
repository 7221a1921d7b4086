import type { Client } from 'pg'
import { afterAll } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import type { OpenEmptyStore } from '../contract/store-contract.ts'
import { connectIn, ownSchema } from '../support/postgres/schema.ts'

const TABLES = [
  'event_key',
  'body_key',
  'event',
  'event_body',
  'delivery',
  'attempt',
  'cause',
  'task',
  'replay',
  'replay_mark',
  'replay_tally',
  'tally',
  'replica',
  'clock_record',
  'late_entry',
  'watermark',
  'known_handler',
  'shape',
  'drift',
  'stat',
  'episode',
  'audit',
  'pause',
  'payload_path',
  'payload_value',
]

/** Not TRUNCATE: it makes a file anew for each table and index, which takes longer than a test. */
const EMPTY = `
  ${TABLES.map((table) => `DELETE FROM ${table};`).join('')}
  SELECT setval('task_key_seq', 1, false);
  SELECT setval(name, -9007199254740991) FROM unnest(ARRAY['floor_open', 'floor_closed']::regclass[]) AS name
`

/** Opens stores in PostgreSQL, one after the other: in one schema, which is emptied for the next. */
export function emptyPostgresStores(): OpenEmptyStore {
  const url = ownSchema(afterAll)
  let client: Client | undefined
  afterAll(() => client?.end())
  return async (clock) => {
    await client?.query(EMPTY)
    const store = await openStore(url, { clock })
    client ??= await connectIn(url)
    return store
  }
}

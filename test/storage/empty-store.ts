import type { Client } from 'pg'
import { afterAll } from 'vitest'
import { migrate } from '../../src/storage/postgres/migrate.ts'
import { openMigratedStore } from '../../src/storage/postgres/open.ts'
import { postgresTarget } from '../../src/storage/shared/database-url.ts'
import type { OpenEmptyStore } from '../contract/store-contract.ts'
import { LentPools } from '../support/postgres/lent-pools.ts'
import { connectIn, ownSchema } from '../support/postgres/schema.ts'

const TABLES = [
  'event_key',
  'body_key',
  'event',
  'event_body',
  'event_repeat',
  'delivery',
  'attempt',
  'cause',
  'task',
  'task_question',
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

/** Opens stores in PostgreSQL, one after the other: in one schema, which is emptied for the next, and on the same connections. */
export function emptyPostgresStores(): OpenEmptyStore {
  const url = ownSchema(afterAll)
  const target = postgresTarget(url)
  const pools = new LentPools()
  let client: Client | undefined
  afterAll(() => Promise.all([pools.end(), client?.end()]))
  return async (clock) => {
    if (client === undefined) {
      await migrate(target, () => {})
      client = await connectIn(url)
    } else {
      await client.query(EMPTY)
    }
    return openMigratedStore(target, { clock, localClock: undefined, onLog: () => {}, makePool: pools.make })
  }
}

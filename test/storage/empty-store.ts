import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import type { OpenEmptyStore } from '../contract/store-contract.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

/** Opens embedded stores, each in a directory of its own; all are gone after the file's last test. */
export function emptyStores(): OpenEmptyStore {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-contract-'))
  let opened = 0
  afterAll(() => rmSync(root, { recursive: true }))
  return (clock) => openStore(`file:${join(root, String(++opened), 'holdfast.db')}`, { clock })
}

const TABLES = [
  'event_key',
  'body_key',
  'event',
  'event_body',
  'delivery',
  'attempt',
  'task',
  'tally',
  'replica',
  'clock_record',
  'late_entry',
  'watermark',
  'known_handler',
]

const EMPTY = `
  TRUNCATE ${TABLES.join(', ')} RESTART IDENTITY;
  SELECT setval(name, -9007199254740991) FROM unnest(ARRAY['floor_open', 'floor_closed']::regclass[]) AS name
`

/** Opens stores in PostgreSQL, one after the other: in one schema, which is emptied for the next. */
export function emptyPostgresStores(): OpenEmptyStore {
  const url = ownSchema(afterAll)
  let isMade = false
  return async (clock) => {
    if (isMade) await queryIn(url, EMPTY)
    isMade = true
    return openStore(url, { clock })
  }
}

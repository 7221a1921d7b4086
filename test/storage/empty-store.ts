import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import type { OpenEmptyStore } from '../contract/store-contract.ts'
import { ownSchema } from '../support/postgres/schema.ts'

/** Opens embedded stores, each in a directory of its own; all are gone after the file's last test. */
export function emptyStores(): OpenEmptyStore {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-contract-'))
  let opened = 0
  afterAll(() => rmSync(root, { recursive: true }))
  return (clock) => openStore(`file:${join(root, String(++opened), 'holdfast.db')}`, { clock })
}

/** Opens stores in PostgreSQL, each in a schema of its own. */
export const emptyPostgresStores = (): OpenEmptyStore => (clock) => openStore(ownSchema(), { clock })

import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { emptyPostgresStores } from '../storage/empty-store.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

const SEARCH = { sequences: 80, limitMs: 180_000 }

describe.each([
  ['the embedded store', () => openEmptyStore],
  ['PostgreSQL', emptyPostgresStores],
])('with %s,', (_, emptyOnes) => describeRandomOperations(emptyOnes(), SEARCH))

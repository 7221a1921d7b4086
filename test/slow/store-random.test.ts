import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { emptyPostgresStores, emptyStores } from '../storage/empty-store.ts'

const SEARCH = { sequences: 80, limitMs: 180_000 }

describe.each([
  ['the embedded store', emptyStores],
  ['the store in PostgreSQL', emptyPostgresStores],
])('%s', (_, emptyOnes) => describeRandomOperations(emptyOnes(), SEARCH))

import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { emptyPostgresStores } from './empty-store.ts'

/** Enough to see what is broken; `test/slow` looks longer. */
const SEARCH = { sequences: 5, limitMs: 45_000 }

describe('with PostgreSQL,', () => describeRandomOperations(emptyPostgresStores(), SEARCH))

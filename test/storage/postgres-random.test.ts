import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { emptyPostgresStores } from './empty-store.ts'

/** Enough to see what is broken; `test/slow` looks longer. */
const SEQUENCES = 10

describe('the store in PostgreSQL', () => describeRandomOperations(emptyPostgresStores(), SEQUENCES))

import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { emptyStores } from './empty-store.ts'

/** Enough to see what is broken; `test/slow` looks longer. */
const SEQUENCES = 10

describe('the embedded store', () => describeRandomOperations(emptyStores(), SEQUENCES))

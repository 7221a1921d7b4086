import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

/** Enough to see what is broken; `test/slow` looks longer. */
const SEARCH = { sequences: 6, limitMs: 45_000 }

describe('with the embedded store,', () => describeRandomOperations(openEmptyStore, SEARCH))

import { describe } from 'vitest'
import { describeRandomOperations } from '../contract/store-contract-random.ts'
import { emptyStores } from '../storage/empty-store.ts'

const SEQUENCES = 80

describe('the embedded store', () => describeRandomOperations(emptyStores(), SEQUENCES))

import { describeStore } from '../contract/store-contract.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

describeStore('the embedded store', openEmptyStore)

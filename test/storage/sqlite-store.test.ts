import { describeStore } from '../contract/store-contract.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

describeStore('with the embedded store,', openEmptyStore)

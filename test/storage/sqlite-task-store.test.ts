import { describeTaskStore } from '../contract/store-contract.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

describeTaskStore('with the embedded store,', openEmptyStore)

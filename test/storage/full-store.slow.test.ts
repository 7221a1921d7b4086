import { describeFullStore } from '../contract/store-contract.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { emptyPostgresStores } from './empty-store.ts'

describeFullStore('with the embedded store,', openEmptyStore)
describeFullStore('with PostgreSQL,', emptyPostgresStores())

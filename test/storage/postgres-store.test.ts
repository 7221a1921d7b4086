import { describeStore } from '../contract/store-contract.ts'
import { emptyPostgresStores } from './empty-store.ts'

describeStore('with PostgreSQL,', emptyPostgresStores())

import { describeTaskStore } from '../contract/store-contract.ts'
import { emptyPostgresStores } from './empty-store.ts'

describeTaskStore('with PostgreSQL,', emptyPostgresStores())

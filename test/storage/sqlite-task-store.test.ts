import { describeTaskStore } from '../contract/store-contract.ts'
import { emptyStores } from './empty-store.ts'

describeTaskStore('the embedded store', emptyStores())

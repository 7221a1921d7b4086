import { describeStore } from '../contract/store-contract.ts'
import { emptyStores } from './empty-store.ts'

describeStore('the embedded store', emptyStores())

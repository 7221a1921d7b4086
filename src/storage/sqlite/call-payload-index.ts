import type { EventFacets } from '../../domain/event-facets.ts'
import type { EventStore } from '../../domain/event-store.ts'
import type { PayloadIndex } from '../../domain/payload-index.ts'
import { isScan } from '../shared/scan.ts'
import type { StoreThreads } from './store-threads.ts'

/** The index of values in payloads, which calls the threads of the store. */
export function callPayloadIndex(threads: StoreThreads): PayloadIndex {
  const { reads, writes } = threads
  const refusing = () => threads.refusing()
  return {
    keepPaths: async (paths) => refusing() ?? writes.call('keepPaths', paths),
    indexedPaths: async () => refusing() ?? reads.call('indexedPaths'),
    async indexStep() {
      const batch = await (refusing() ?? threads.scans().call('indexBatch'))
      if (batch === undefined) return false
      await (refusing() ?? writes.call('addIndexed', batch))
      return true
    },
  }
}

export const callEventFacets = (threads: StoreThreads): EventFacets => ({
  deliveriesOf: async (uids) => threads.refusing() ?? threads.reads.call('deliveriesOf', uids),
  countByOutcome: async (filter) => threads.refusing() ?? threads.reads.call('countByOutcome', filter),
  namesWith: async (field, prefix) => threads.refusing() ?? threads.reads.call('namesWith', field, prefix),
  waiting: async (handlers) => threads.refusing() ?? threads.reads.call('waiting', handlers, threads.clock()),
  retrying: async () => threads.refusing() ?? threads.reads.call('retrying'),
})

/** Lists events. A search that has to read many bodies runs in the thread for scans. */
export const callSearchEvents =
  (threads: StoreThreads): EventStore['events'] =>
  async (filter, page) => {
    const refusing = () => threads.refusing()
    if (!isScan(filter)) return refusing() ?? threads.reads.call('events', filter, page)
    const indexed = await (refusing() ?? threads.reads.call('indexedEvents', filter, page))
    return indexed ?? refusing() ?? threads.scans().call('events', filter, page)
  }

import type { ReplayJobs } from '../../domain/replay-jobs.ts'
import type { StoreThreads } from './store-threads.ts'

/** Replay jobs, which call the threads of the store. */
export function callReplayJobs(threads: StoreThreads): ReplayJobs {
  const { reads, writes, clock } = threads
  const refusing = () => threads.refusing()
  return {
    create: async (job) => refusing() ?? writes.call('createReplayJob', job, clock()),
    list: async (page) => refusing() ?? reads.call('replayJobs', page),
    find: async (id) => refusing() ?? reads.call('replayJob', id),
    cancel: async (id) => refusing() ?? writes.call('cancelReplayJob', id, clock()),
    range: async (filter) => refusing() ?? reads.call('replayRange', filter),
    matches: async (filter, range, limit) => refusing() ?? reads.call('replayMatches', filter, range, limit),
    lease: async (lease, leaseMs) => refusing() ?? writes.call('leaseReplayJob', lease, leaseMs, clock()),
    run: async (batch) => refusing() ?? writes.call('runReplays', batch, clock()),
    end: async (job, state, probe) => refusing() ?? writes.call('endReplayJob', job, state, probe, clock()),
    prune: async (endedBeforeMs, limit) => refusing() ?? writes.call('pruneReplayJobs', endedBeforeMs, limit),
  }
}

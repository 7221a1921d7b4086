import type { ReplayJobs } from '../../domain/replay-jobs.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import type { Operations } from './open-operations.ts'
import { createReplayJobs } from './replay-jobs.ts'
import { createReplayMatches } from './replay-matches.ts'

interface Parts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly operations: Operations
}

/** Replay jobs. */
export function callReplayJobs({ connections, clock, operations }: Parts): ReplayJobs {
  const jobs = createReplayJobs(connections, clock)
  const found = createReplayMatches(connections)
  return {
    create: operations.while((job) => jobs.create(job)),
    list: operations.while((page) => jobs.list(page)),
    find: operations.while((id) => jobs.find(id)),
    cancel: operations.while((id) => jobs.cancel(id)),
    range: operations.while((filter) => found.range(filter)),
    matches: operations.while((filter, range, limit) => found.matches(filter, range, limit)),
    lease: operations.while((lease, leaseMs) => jobs.lease(lease, leaseMs)),
    run: operations.while((batch) => jobs.run(batch)),
    end: operations.while((job, state, probe) => jobs.end(job, state, probe)),
    prune: operations.while((endedBeforeMs, limit) => jobs.prune(endedBeforeMs, limit)),
  }
}

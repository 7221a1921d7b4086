import type { BroughtBack, PruneRequest, PruneStep } from '../../domain/upkeep.ts'
import type { FoundAhead } from './bring-back.ts'

/** Commits of one step of pruning; others come in between. */
const MAX_COMMITS = 4

/** One step of a walk, in several commits. `commit` makes one. */
export async function pruneInCommits(
  { limit, ...request }: PruneRequest,
  commit: (request: PruneRequest) => Promise<PruneStep>,
): Promise<PruneStep> {
  let done: PruneStep = { events: 0, dead: 0, next: request.from }
  for (let commits = 0; commits < MAX_COMMITS && done.events < limit; commits++) {
    const from = done.next === undefined ? {} : { from: done.next }
    const { events, dead, next } = await commit({ ...request, ...from, limit: limit - done.events })
    done = { events: done.events + events, dead: done.dead + dead, next }
    if (next === undefined) break
  }
  return done
}

const NOTHING: BroughtBack = { events: 0, deliveries: 0, tasks: 0 }

/** Has nothing written where nothing was found. */
export async function bringBackFound(
  found: Promise<FoundAhead>,
  bringBack: (found: FoundAhead) => Promise<BroughtBack>,
): Promise<BroughtBack> {
  const { events, deliveries, tasks } = await found
  return events.length + deliveries.length + tasks.length === 0 ? NOTHING : bringBack({ events, deliveries, tasks })
}

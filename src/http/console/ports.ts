import type { Configuration } from '../../domain/configuration.ts'
import type { EventFacets, Waiting } from '../../domain/event-facets.ts'
import type { RunningReplica } from '../../domain/replica-registry.ts'
import type { SendSample, SourceSetup, SourceState } from '../../domain/source.ts'
import type { ReadDay, ReadRecentStats } from '../../domain/stats.ts'
import type { OpsListenerOptions } from '../ops/ops-listener.ts'
import { Recent } from './recent.ts'

/** What the console reads and changes: the same as the ops API. */
export type ConsoleOptions = Omit<OpsListenerOptions, 'console' | 'metrics' | 'metricsOpen' | 'timeouts'> & {
  readonly clock: () => number
  readonly day: ReadDay
  readonly recentStats: ReadRecentStats
  readonly configuration: () => Configuration
  /** The processes that share the store; undefined: no other can. */
  readonly replicas: (() => Promise<readonly RunningReplica[]>) | undefined
  /** Throws `unknown_source`. */
  readonly sourceSetup: (source: string) => SourceSetup
  readonly sample: SendSample
  /** The workers that have a handler, by uid, of all `workers`; undefined: this process is the only one. */
  readonly workersWith: (
    handler: string,
  ) => { readonly having: readonly string[]; readonly workers: number } | undefined
}

/** The same for its pages, which share what they read: many that are open cost one reading. */
export type ConsolePorts = ConsoleOptions & Pick<EventFacets, 'waiting'>

/** How long what was read is given again. */
const FRESH_MS = 1_000
/** Lists of handlers whose deliveries were counted. */
const MAX_LISTS = 100
const MAX_SOURCES = 500

export function shareReadings(options: ConsoleOptions): ConsolePorts {
  const states = new Recent<SourceState>(FRESH_MS, MAX_SOURCES)
  const waiting = new Recent<readonly Waiting[]>(FRESH_MS, MAX_LISTS)
  return {
    ...options,
    sourceState: (source) => states.of(source, () => options.sourceState(source)),
    waiting: (handlers) => waiting.of(JSON.stringify(handlers), () => options.store.facets.waiting(handlers)),
  }
}

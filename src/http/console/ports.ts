import type { Configuration } from '../../domain/configuration.ts'
import type { RunningReplica } from '../../domain/replica-registry.ts'
import type { SendSample, SourceSetup } from '../../domain/source.ts'
import type { ReadDay, ReadRecentStats } from '../../domain/stats.ts'
import type { OpsListenerOptions } from '../ops/ops-listener.ts'

/** What the console reads and changes: the same as the ops API. */
export type ConsolePorts = Omit<
  OpsListenerOptions,
  'console' | 'metrics' | 'metricsOpen' | 'readiness' | 'timeouts'
> & {
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

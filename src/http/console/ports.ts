import type { Configuration } from '../../domain/configuration.ts'
import type { RunningReplica } from '../../domain/replica-registry.ts'
import type { ReadDay } from '../../domain/stats.ts'
import type { OpsListenerOptions } from '../ops/ops-listener.ts'

/** What the console reads and changes: the same as the ops API. */
export type ConsolePorts = Omit<
  OpsListenerOptions,
  'console' | 'metrics' | 'metricsOpen' | 'readiness' | 'timeouts'
> & {
  readonly clock: () => number
  readonly day: ReadDay
  readonly configuration: () => Configuration
  /** The processes that share the store; undefined: no other can. */
  readonly replicas: (() => Promise<readonly RunningReplica[]>) | undefined
}

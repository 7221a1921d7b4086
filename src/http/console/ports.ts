import type { OpsListenerOptions } from '../ops/ops-listener.ts'

/** What the console reads and changes: the same as the ops API. */
export type ConsolePorts = Omit<
  OpsListenerOptions,
  'console' | 'metrics' | 'metricsOpen' | 'readiness' | 'timeouts'
> & {
  readonly clock: () => number
}

/** What a problem of the service may be; a label value of `holdfast_problems`. The set is closed, in the order of their weight. */
export const PROBLEMS = [
  /** The store refuses events. */
  'store_failing',
  /** The disk of the store is nearly full. */
  'disk_low',
  /** The handlers of the workers are not known, so that events cannot be routed. */
  'routes_unknown',
  /** No running worker has a handler for which deliveries wait. */
  'handler_missing',
  /** The clock of this process is off. */
  'clock_off',
  /** The store is damaged, or misses events. */
  'store_damaged',
  /** A source refuses requests in a row: mostly a secret that is not the provider's. */
  'refusals',
  /** Webhooks of a source that should come do not come. */
  'source_silent',
  /** Deliveries that are due wait for their attempt. */
  'backlog',
  /** Most attempts of a handler fail, and many deliveries wait to be tried again. */
  'handler_failing',
  /** Deliveries that are not tried again by themselves. */
  'dead_letters',
  /** Calls to a provider fail, and are paused. */
  'breaker_open',
  /** Events that were not understood. */
  'events_quarantined',
  /** Tasks that should be over, and whose polls fail. */
  'tasks_stuck',
  /** Tasks whose end never came. */
  'tasks_expired',
  /** Old events are not deleted, because the clock is doubted. */
  'retention_held',
  /** The last reload was refused: the configuration in use is not the one that is set. */
  'reload_failed',
  /** The shape of a source's events has changed. */
  'schema_drift',
  'handler_paused',
  'source_paused',
  /** This process claims no work. */
  'draining',
] as const
export type ProblemName = (typeof PROBLEMS)[number]

/**
 * `critical`: events are refused or wait without end. `warning`: someone should look at it. `notice`: it is so on purpose, or is only to
 * be known; the service is well.
 */
export const SEVERITIES = ['critical', 'warning', 'notice'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Problem {
  readonly problem: ProblemName
  readonly severity: Severity
  /** One sentence, without its target and its time. */
  readonly summary: string
  /** How many events, deliveries, tasks or faults it is about; at least 1. */
  readonly count: number
  /** When it began; undefined: not known. */
  readonly sinceMs?: number
  /** Of a problem that may be over: when it last happened. */
  readonly lastMs?: number
  readonly cause?: string
  /** Of dead letters: the id of their cause. */
  readonly causeId?: string
  readonly source?: string
  readonly handler?: string
  /** The command that shows more, or helps. */
  readonly command?: string
}

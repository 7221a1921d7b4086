import type { Logger } from 'pino'
import type { AttemptResult, TypeRoutes, Work } from '../domain/delivery.ts'
import type { DeliveryQueue } from '../domain/delivery-queue.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import type { AttemptPolicy } from '../domain/handler-policy.ts'
import type { RateShare } from '../domain/rate-share.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { ClaimTiming } from './claim-loop.ts'
import type { PoolCapacity, RunningAttempts } from './concurrency-limits.ts'
import type { PauseView } from './pauses.ts'
import type { StartsByHandler } from './rate-limits.ts'

export interface DispatcherOptions extends ClaimTiming {
  readonly store: Pick<DeliveryQueue, 'claim' | 'settle'>
  readonly pool: PoolCapacity & {
    onCapacity: () => void
    run(work: Work, timeoutMs: number): Promise<AttemptResult>
    abort(): void
    close(): Promise<void>
  }
  readonly handlers: readonly HandlerDefinition[]
  /** Shared with the dispatchers from before a reload; its own unless given. */
  readonly running?: RunningAttempts
  /** Likewise, of the handlers with a rate. */
  readonly starts?: StartsByHandler
  /** Which part of a handler's rate is this process's. */
  readonly rateShareOf?: (handler: string) => RateShare
  /** A monotonic clock. */
  readonly monotonicMs?: () => number
  /** What must not run now. Absent: everything may. */
  readonly pauses?: PauseView
  readonly routesOf: (source: string) => TypeRoutes
  /** Of the handlers that have no other policy. */
  readonly attempts: AttemptPolicy
  /** The directory of handlers: errors are told apart by the lines there that they come from. */
  readonly handlersDir: string
  readonly random: () => number
  /** Removes secrets from the errors of handlers. */
  readonly redact: (text: string) => string
  readonly telemetry: Telemetry
  readonly log: Logger
}

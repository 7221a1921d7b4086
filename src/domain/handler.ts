import type { Logger } from 'pino'
import type { WebhookEvent } from './event.ts'
import type { HandlerPolicy } from './handler-policy.ts'

/** What a handler gets beside its event. */
export interface HandlerContext {
  /** This attempt's number, counting from 1. */
  readonly attempt: number
  /** Aborted at the deadline and when the service stops; pass it on to `fetch` and everything else that waits. */
  readonly signal: AbortSignal
  /** Adds the event's uid, type and source, the handler and the attempt to each line. */
  readonly log: Logger
  /** Ends this delivery for good: no retry, straight to the dead letters. Throws. */
  readonly fail: (reason: string) => never
  /**
   * Ends this attempt and asks for the next one no sooner than after `ms`, a week at most. It counts as an attempt. Throws.
   * After an invalid time (0, NaN, a text, more than a year) the delivery waits as after any failure, and the log has a warning.
   */
  readonly retryAfter: (ms: number) => never
}

/**
 * Runs in a handler process, at least once per event, with `event.uid` as its idempotency key. Returning means success;
 * throwing means retry.
 */
export type Handler<Event extends WebhookEvent<string, unknown> = WebhookEvent> = (
  event: Event,
  context: HandlerContext,
) => unknown

/** A handler as everything outside its own process knows it; plain data, so that it can cross processes. */
export interface HandlerDefinition extends HandlerPolicy {
  /** Unique; `module:type` unless given. */
  readonly name: string
  /** Event-type patterns. */
  readonly types: readonly string[]
  /** The only source whose events it takes; absent: any. */
  readonly source?: string
  /** JSON Schema that its events must satisfy, in place of the catalogue's for the types it names. */
  readonly schema?: Readonly<Record<string, unknown>>
  /** What `schema` describes: the whole event, or `event.data`. */
  readonly schemaOf?: 'event' | 'data'
}

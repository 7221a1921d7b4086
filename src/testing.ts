/// <reference types="node" preserve="true" />
import type { WebhookEvent } from './domain/event.ts'
import type { Handler } from './domain/handler.ts'
import type { HandlerModule } from './domain/router.ts'
import type { Runnable } from './testing/handlers-of.ts'
import { type HandlerRun, type RunOptions, runAttempt } from './testing/run-handler.ts'
import { type PlainEvent, plainEvent, type TestEvent } from './testing/test-event.ts'

/** What tests of handlers import from `holdfast/testing`. */
export type { LogLine } from './testing/log-lines.ts'
export type { HandlerRun, RunOptions } from './testing/run-handler.ts'
export { type PlainEvent, recorded, sample, type TestEvent } from './testing/test-event.ts'

/**
 * Runs a handler once with an event, in this process, and resolves with what follows from the attempt. Of a module it runs the one
 * handler that wants the event; with several, `options.handler` says which. The event is read and checked against its schema as the
 * service does. Rejects with `TypeError` if no handler wants the event, or the arguments are wrong; never because of what the
 * handler throws.
 */
export function runHandler<Type extends string = string, Data = Record<string, unknown>>(
  handler: Handler<WebhookEvent<Type, Data>>,
  event: TestEvent | PlainEvent<Type, Data>,
  options?: RunOptions,
): Promise<HandlerRun>
export function runHandler<Event extends WebhookEvent<string, unknown>>(
  handler: Handler<Event>,
  event: TestEvent | PlainEvent<Event['type'], Event['data']>,
  options?: RunOptions,
): Promise<HandlerRun>
export function runHandler(
  module: HandlerModule | { readonly default: HandlerModule },
  event: TestEvent | PlainEvent,
  options?: RunOptions,
): Promise<HandlerRun>
export async function runHandler(
  runnable: Runnable,
  event: TestEvent | PlainEvent,
  options: RunOptions = {},
): Promise<HandlerRun> {
  if ('body' in event) return runAttempt(runnable, event, options)
  const { origin } = event
  const fields = { ...(origin !== undefined && { origin }), ...options.event }
  return runAttempt(runnable, plainEvent(event), { ...options, event: fields })
}

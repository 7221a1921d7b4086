import type { WebhookEvent } from '../domain/event.ts'
import type { Handler } from '../domain/handler.ts'
import { type ForwardOptions, readTarget, type Target } from './options.ts'

/**
 * Makes a handler that posts each event to an HTTP service: its exact bytes, with its content type, signed by Standard Webhooks if
 * there is a secret, and with the event's uid as `webhook-id`. By the status of the answer the attempt
 * - has succeeded: 2xx;
 * - has failed for good (`context.fail`): 410 and `finalStatuses`;
 * - is repeated after the time that `Retry-After` says (`context.retryAfter`): any other status but 3xx with that header;
 * - has failed: any other status, also a redirect, which is never followed.
 *
 * Connects to public addresses only, unless `allowPrivate` is set. Throws `TypeError` with everything that is wrong with the options.
 */
export function forward(options: ForwardOptions): Handler<WebhookEvent<string, unknown>> {
  const target = readTarget(options)
  let sender: Promise<Handler<WebhookEvent<string, unknown>>> | undefined
  return async (event, context) => {
    // The HTTP client takes some MiB of memory, so it is loaded only if there is something to send.
    sender ??= openSender(target)
    await (await sender)(event, context)
  }
}

const openSender = async (target: Target) => (await import('./sender.ts')).createSender(target)

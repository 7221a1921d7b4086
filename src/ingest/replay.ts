import { HoldfastError } from '../domain/errors.ts'
import { readStored } from '../domain/read-event.ts'
import { type Route, routeReading } from '../domain/routes.ts'
import type { Source } from '../domain/source.ts'
import type { Replayed, Store } from '../domain/store.ts'

export interface ReplayOptions {
  readonly store: Pick<Store, 'event' | 'body' | 'replay'>
  readonly sources: ReadonlyMap<string, Source>
  readonly route: Route
  readonly onWork: (handlers: readonly string[]) => void
}

/**
 * Takes a stored event down the road again from where it was parsed: read, validated and routed by today's handlers and
 * schemas. So an event that was unhandled or quarantined runs once there is a handler, or a schema that it satisfies.
 */
export type ReplayEvent = (uid: string, handler?: string) => Promise<Replayed>

/**
 * Gives what the event is from now on, and the handlers that will run: all that want it, or the one named. Rejects with
 * `event_not_found`, `body_corrupt`, `handler_not_found` (it does not want this event) or `conflict` (the event's source
 * is no longer configured).
 */
export function createReplayer({ store, sources, route, onWork }: ReplayOptions): ReplayEvent {
  return async (uid, handler) => {
    const event = await store.event(uid)
    if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${uid}`)
    const source = sources.get(event.source)
    if (source === undefined) throw new HoldfastError('conflict', `source ${event.source} is not configured any more`)

    const form = { ...event, receivedAtMs: Date.parse(event.received_at) }
    const reading = readStored(source.provider, form, await store.body(uid))
    const routing = routeReading(route, source, reading, event.origin)
    if (handler !== undefined && !routing.handlers.includes(handler)) {
      throw new HoldfastError('handler_not_found', `no handler ${handler} wants event ${uid}`)
    }
    const { status, reasons } = routing
    const handlers = handler === undefined ? routing.handlers : [handler]
    const replayed = await store.replay({ eventUid: uid, handlers, status, reasons })
    if (replayed.handlers.length > 0) onWork(replayed.handlers)
    return replayed
  }
}

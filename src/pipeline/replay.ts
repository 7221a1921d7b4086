import type { Logger } from 'pino'
import type { DeliveryQueue, Replay, ReplayEvent, Replayed } from '../domain/delivery-queue.ts'
import { HoldfastError, isHoldfastError, messageOf } from '../domain/errors.ts'
import type { EventStore } from '../domain/event-store.ts'
import { newUid } from '../domain/names.ts'
import type { SkipReason } from '../domain/replay-jobs.ts'
import type { PlanReplay, ReplayAim } from '../domain/replay-service.ts'
import type { Source } from '../domain/source.ts'
import type { BodyReader } from './body-reader.ts'
import type { RouteResult } from './routes.ts'

interface ReplayOptions {
  readonly store: EventStore & DeliveryQueue
  readonly sources: ReadonlyMap<string, Source>
  readonly reader: Pick<BodyReader, 'event'>
  readonly onWork: (handlers: readonly string[]) => void
}

/**
 * Parses, reads, validates and routes stored events again, by today's handlers and schemas. So an event that was unhandled or
 * quarantined runs if there is a handler for it now, or if it now satisfies its schema.
 */
interface Replayer {
  /**
   * Resolves with the event's new status and the handlers that will run: all that want the event, or only the named one. Rejects with
   * `event_not_found`, `body_corrupt`, `handler_not_found` (the named handler does not want this event) or `conflict` (the event's
   * source is no longer configured).
   */
  readonly replay: ReplayEvent
  readonly plan: PlanReplay
  /** Replays only the dead deliveries. An event that would not be accepted now stays as it is. Resolves with the handlers that will run. */
  readonly replayDead: (uid: string) => Promise<readonly string[]>
}

export function createReplayer({ store, sources, reader, onWork }: ReplayOptions): Replayer {
  async function routeStored(uid: string): Promise<RouteResult> {
    const form = await store.eventForm(uid)
    if (form === undefined) throw new HoldfastError('event_not_found', `there is no event ${uid}`)
    const source = sources.get(form.source)
    if (source === undefined) throw new HoldfastError('conflict', `source ${form.source} is not configured any more`)

    const body = await store.body(uid)
    const { routing } = await reader.event(source, form, Buffer.from(body.buffer, body.byteOffset, body.length))
    return routing
  }

  async function run(replay: Replay): Promise<Replayed> {
    const id = newUid()
    const replayed = await store.replay({ ...replay, id })
    if (replayed.handlers.length > 0) onWork(replayed.handlers)
    return { ...replayed, id }
  }

  async function plan(uid: string, { handler, ...aim }: ReplayAim): Promise<Replay | SkipReason> {
    const routing = await routeStored(uid)
    const { status, reasons, orderKeys } = routing
    const handlers = routing.handlers.filter((name) => handler === undefined || name === handler)
    // An event whose status changes is stored, although no handler runs.
    if (handlers.length === 0 && (handler !== undefined || status === 'accepted')) return 'not_wanted'
    if (aim.only !== undefined && status === 'unhandled') return 'not_wanted'
    if (aim.only !== undefined && status !== 'accepted') return 'not_accepted'
    return { eventUid: uid, handlers, ...(orderKeys !== undefined && { orderKeys }), status, reasons, ...aim }
  }

  return {
    plan: (uid, aim) => plan(uid, aim).catch(skipReasonOf),

    async replay(uid, handler) {
      const { status, reasons, handlers, orderKeys } = await routeStored(uid)
      if (handler !== undefined && !handlers.includes(handler)) {
        throw new HoldfastError('handler_not_found', `no handler ${handler} wants event ${uid}`)
      }
      const order = orderKeys === undefined ? {} : { orderKeys }
      return run({ eventUid: uid, handlers: handler === undefined ? handlers : [handler], ...order, status, reasons })
    },

    async replayDead(uid) {
      const { status, reasons, handlers, orderKeys } = await routeStored(uid)
      const order = orderKeys === undefined ? {} : { orderKeys }
      return status === 'accepted'
        ? (await run({ eventUid: uid, handlers, ...order, status, reasons, only: 'dead' })).handlers
        : []
    },
  }
}

/** Throws the error again if it says nothing about the event. */
function skipReasonOf(error: unknown): SkipReason {
  if (isHoldfastError(error, 'event_not_found')) return 'gone'
  if (isHoldfastError(error, 'body_corrupt')) return 'body_corrupt'
  if (isHoldfastError(error, 'conflict')) return 'source_removed'
  throw error
}

interface Redelivery {
  readonly source: Source
  readonly uid: string
  /** Handlers whose deliveries were dead when the event came again. */
  readonly dead: readonly string[]
  readonly requestId: string
}

/**
 * Called when an event comes again whose deliveries are dead. Makes these deliveries run again if the source is configured so.
 * Resolves once they are pending on disk; concurrent calls run each delivery once. Rejects with `unavailable`: the sender may try
 * again.
 */
export type Redeliver = (redelivery: Redelivery) => Promise<void>

export function createRedeliverer({ replayDead, log }: Pick<Replayer, 'replayDead'> & { log: Logger }): Redeliver {
  return async ({ source, uid, dead, requestId }) => {
    const about = { reqId: requestId, uid, source: source.name, handlers: dead }
    if (!source.redeliveryReplaysDead) {
      log.info(about, 'event came again: its dead deliveries stay dead')
      return
    }
    try {
      const handlers = await replayDead(uid)
      if (handlers.length > 0) log.info({ ...about, handlers }, 'event came again: its dead deliveries run again')
      else log.info(about, 'event came again: its dead deliveries are not accepted now, or run again already')
    } catch (error) {
      if (isHoldfastError(error, 'unavailable')) throw error
      log.warn({ ...about, error: messageOf(error) }, 'event came again: its dead deliveries could not be run again')
    }
  }
}

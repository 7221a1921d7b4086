import type { DeadFilter } from '../../src/domain/dead-letters.ts'
import type { DeliverySummary, Settlement } from '../../src/domain/delivery.ts'
import type { ClaimRequest, DeliveryFilter, Replay, Replayed } from '../../src/domain/delivery-queue.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import type { Receipt } from '../../src/domain/event-store.ts'
import { type OrderKeys, orderKeyFor } from '../../src/domain/order-key.ts'
import type { SourceActivity } from '../../src/domain/task-store.ts'
import { routeByType } from '../../src/pipeline/type-routes.ts'
import { takenBy } from '../../src/storage/shared/events.ts'
import {
  endedIn,
  hasten,
  headOf,
  hold,
  limitsOf,
  type ModelDelivery,
  type ModelEvent,
  type ModelReplayJob,
  restart,
  start,
  summaryOf,
  waitsIn,
} from './model-delivery.ts'
import { givesUpId, knownAs, replaceQuarantined, successorOf, understand } from './model-identity.ts'
import { eventsIn } from './model-lists.ts'
import { ModelTasks } from './model-tasks.ts'

/** The store port again, as plainly as possible: lists in order of arrival, searched from end to end. */
export class ModelStore {
  events: ModelEvent[] = []
  readonly pausedSources = new Set<string>()
  readonly tasks = new ModelTasks((source, id) => this.#endOf(source, id))

  /** `answered`: see `knownAs`. */
  append(given: NewEvent, answered?: string): Receipt {
    const effect = this.tasks.effectOf(given)
    if (effect === 'fenced') return { outcome: 'fenced', uid: given.uid }
    const known = given.taskLease === undefined ? knownAs(this.events, given, answered) : undefined
    if (known?.outcome === 'duplicate') {
      const dead = known.event.deliveries.filter(({ state }) => state === 'dead').map(({ handler }) => handler)
      return { outcome: 'duplicate', uid: known.event.given.uid, ...(dead.length > 0 && { dead }) }
    }
    if (known?.event !== undefined) return { outcome: 'conflict', uid: known.event.given.uid }

    const outcome = known !== undefined ? 'conflict' : effect === 'superseded' ? effect : 'accepted'
    const event: ModelEvent = {
      given,
      standing: known !== undefined ? 'conflicting' : given.status === 'quarantined' ? 'not understood' : 'first',
      isKnownByBody: given.dedupe === 'body' && known === undefined,
      isReplaced: false,
      status: outcome === 'accepted' ? given.status : outcome,
      reasons: given.reasons,
      orderKeys: given.orderKeys,
      judgements: new Set(),
      deliveries: [],
    }
    this.events.push(event)
    if (outcome !== 'accepted') return { outcome, uid: given.uid }
    for (const handler of given.handlers)
      this.#create(event, handler, orderKeyFor(given.orderKeys, handler), given.receivedAtMs)
    if (typeof effect !== 'string') this.tasks.resolve(effect, given)
    return { outcome, uid: given.uid }
  }

  /** What an accepted event offered to lease. */
  lease({ uid, lease }: NewEvent, nowMs: number): readonly ModelDelivery[] {
    const deliveries = (lease?.handlers ?? []).flatMap(
      (name) => this.find(uid)?.deliveries.find(({ handler }) => handler === name) ?? [],
    )
    const leaseMs = lease?.leaseMs ?? 0
    for (const [at, delivery] of deliveries.entries())
      start(delivery, nowMs, typeof leaseMs === 'number' ? leaseMs : (leaseMs[at] ?? 0))
    return deliveries
  }

  claim(request: ClaimRequest, nowMs: number): { claimed: readonly ModelDelivery[]; nextDueAtMs: number | undefined } {
    this.#reclaim(request, nowMs)
    const handlers = new Map(
      request.handlers.map(({ name, limit, running = 0 }) => [name, { running, most: running + limit }]),
    )
    const room = { shared: request.sharedLimit, isolated: request.isolatedLimit }
    const claimed: ModelDelivery[] = []
    const runningOf = ({ handler }: ModelDelivery) => handlers.get(handler)?.running ?? 0
    for (;;) {
      const [next] = this.deliveries()
        .filter(({ state, isBlocked, dueAtMs }) => state === 'pending' && !isBlocked && dueAtMs <= nowMs)
        .filter((delivery) => runningOf(delivery) < (handlers.get(delivery.handler)?.most ?? 0))
        .filter(({ isolated }) => (isolated ? room.isolated : room.shared) > 0)
        .toSorted((a, b) => runningOf(a) - runningOf(b) || a.dueAtMs - b.dueAtMs)
      if (next === undefined) return { claimed, nextDueAtMs: this.#nextDue(nowMs) }
      if (next.attempts >= limitsOf(request, next).maxAttempts) {
        Object.assign(next, { state: 'dead', dueAtMs: nowMs })
        endedIn(this.deliveries(), next, nowMs)
        continue
      }
      const handler = handlers.get(next.handler)
      if (handler !== undefined) handler.running++
      room[next.isolated ? 'isolated' : 'shared']--
      start(next, nowMs, limitsOf(request, next).leaseMs)
      claimed.push(next)
    }
  }

  #reclaim(request: ClaimRequest, nowMs: number): void {
    for (const delivery of this.deliveries()) {
      if (delivery.state !== 'running' || delivery.leaseUntilMs > nowMs) continue
      delivery.history.push({ number: delivery.attempts, outcome: 'lease_lost' })
      Object.assign(delivery, { isolated: delivery.isolated || delivery.isLost, isLost: true, dueAtMs: nowMs })
      delivery.state = delivery.attempts >= limitsOf(request, delivery).maxAttempts ? 'dead' : 'pending'
      if (delivery.state === 'dead') endedIn(this.deliveries(), delivery, nowMs)
    }
  }

  settle(delivery: ModelDelivery, lease: string, settlement: Settlement, nowMs: number): boolean {
    if (delivery.state !== 'running' || delivery.lease !== lease) return false
    const { verdict, outcome, isolate, dueAtMs, detail, cause, answer, heldFor } = settlement
    const pausedFor = this.pausedSources.has(heldFor ?? '') ? heldFor : undefined
    if (verdict === 'held') return hold(delivery, pausedFor, pausedFor === undefined ? nowMs : dueAtMs)
    delivery.heldFor = undefined
    const why = {
      ...(detail !== undefined && { errorDetail: detail }),
      ...(cause !== undefined && { cause: cause.id }),
      ...(answer !== undefined && { answer }),
    }
    delivery.history.push({ number: delivery.attempts, outcome, ...why })
    delivery.cause = verdict === 'dead' ? cause?.id : undefined
    delivery.state = verdict === 'retry' || verdict === 'released' ? 'pending' : verdict
    const pending = delivery.state === 'pending'
    delivery.dueAtMs = pending ? dueAtMs : nowMs
    delivery.isolated = pending && isolate
    if (verdict === 'released') delivery.attempts--
    else delivery.isLost = false
    if (!pending) endedIn(this.deliveries(), delivery, nowMs)
    if (delivery.state === 'dead') this.#died(delivery.event, settlement, nowMs)
    return true
  }

  #died(event: ModelEvent, { quarantine, judgement, routes }: Settlement, nowMs: number): void {
    if (judgement !== undefined) event.judgements.add(judgement)
    if (quarantine !== undefined) {
      const known = event.status === 'quarantined' ? event.reasons : []
      Object.assign(event, { status: 'quarantined', reasons: [...new Set([...known, ...quarantine])] })
    }
    if (!givesUpId(event)) return
    const successor = routes && successorOf(event, this.events)
    replaceQuarantined(event, this.events)
    event.standing = 'not understood'
    const givenUp = this.tasks.giveUp(event.given)
    if (successor === undefined || routes === undefined) return
    Object.assign(successor, { standing: 'first', isKnownByBody: event.isKnownByBody })
    if (successor.status !== 'conflict') return
    const { status, reasons, handlers } = routeByType(routes, successor.given.type)
    const effect = this.tasks.effectOf(successor.given)
    Object.assign(successor, { status: effect === 'superseded' ? effect : status, reasons })
    if (effect === 'superseded') return
    this.#deliver(successor, { orderKeys: successor.orderKeys, handlers }, nowMs)
    this.tasks.tell(effect, successor.given, givenUp, nowMs)
  }

  /** Undefined: there is no such event. */
  replay({ eventUid, status, reasons, ...to }: Replay, nowMs: number, job?: ModelReplayJob): Replayed | undefined {
    const event = this.find(eventUid)
    if (event === undefined) return undefined
    const isUnderstood = event.standing === 'not understood' && status !== 'quarantined'
    const taker = isUnderstood ? understand(event, this.events) : undefined
    Object.assign(
      event,
      taker === undefined
        ? { status, reasons }
        : { status: 'conflict', reasons: takenBy(taker.given.uid), orderKeys: to.orderKeys },
    )
    if (taker !== undefined) return { status: 'conflict', reasons: event.reasons, handlers: [] }
    return { status, reasons, handlers: this.#deliver(event, to, nowMs, job) }
  }

  #deliver(
    event: ModelEvent,
    { handlers, orderKeys, only }: Pick<Replay, 'handlers' | 'only'> & { readonly orderKeys?: OrderKeys | undefined },
    nowMs: number,
    job?: ModelReplayJob,
  ): readonly string[] {
    return [...new Set(handlers)].filter((handler) => {
      const delivery = event.deliveries.find((each) => each.handler === handler)
      const waits = delivery !== undefined && waitsIn(delivery, nowMs)
      if (only !== undefined && (waits ? 'waiting' : delivery?.state) !== only) return false
      if (waits) return hasten(delivery, nowMs, job)
      const orderKey = orderKeyFor(orderKeys, handler)
      const isBlocked = headOf(this.deliveries(), handler, orderKey) !== undefined
      if (delivery === undefined) this.#create(event, handler, orderKey, nowMs)
      else if (delivery.state === 'pending' || delivery.state === 'running') return false
      else restart(delivery, { dueAtMs: nowMs, orderKey, isBlocked })
      Object.assign(event.deliveries.find((each) => each.handler === handler) ?? {}, { job })
      return true
    })
  }

  /** What was discarded. */
  discard(filter: DeadFilter & { readonly eventUid?: string }, nowMs: number): readonly ModelDelivery[] {
    const { eventUid, handler, cause, ...ofEvent } = filter
    const uids = new Set(this.listEvents(ofEvent))
    const discarded = this.deliveries()
      .filter(({ state, event }) => state === 'dead' && uids.has(event.given.uid))
      .filter(({ event }) => eventUid === undefined || event.given.uid === eventUid)
      .filter((delivery) => handler === undefined || delivery.handler === handler)
      .filter((delivery) => cause === undefined || delivery.cause === cause)
    for (const delivery of discarded) Object.assign(delivery, { state: 'discarded', dueAtMs: nowMs })
    return discarded
  }

  prune(beforeMs: number, limit: number): number {
    const old = this.events
      .filter(({ given }) => given.receivedAtMs < beforeMs)
      .filter(({ deliveries }) => deliveries.every(({ state }) => state !== 'pending' && state !== 'running'))
      .toSorted((a, b) => a.given.receivedAtMs - b.given.receivedAtMs)
      .slice(0, limit)
    for (const { handler, state, job } of old.flatMap(({ deliveries }) => deliveries))
      job?.taken.push({ handler, state })
    this.events = this.events.filter((event) => !old.includes(event))
    return old.length
  }

  find = (uid: string): ModelEvent | undefined => this.events.find(({ given }) => given.uid === uid)

  deliveries = (): ModelDelivery[] => this.events.flatMap(({ deliveries }) => deliveries)

  /** Uids, newest first. */
  listEvents(filter: EventFilter): readonly string[] {
    return eventsIn(this.events, filter).map(({ given }) => given.uid)
  }

  /** Newest first; dead ones by their death. */
  listDeliveries({
    state,
    handler,
    source,
    eventUid,
    cause,
  }: DeliveryFilter): readonly Omit<DeliverySummary, 'lastError'>[] {
    return this.deliveries()
      .toReversed()
      .toSorted((a, b) => (state === 'dead' ? b.dueAtMs - a.dueAtMs : 0))
      .filter((delivery) => state === undefined || delivery.state === state)
      .filter((delivery) => handler === undefined || delivery.handler === handler)
      .filter(({ event }) => source === undefined || event.given.source === source)
      .filter(({ event }) => eventUid === undefined || event.given.uid === eventUid)
      .filter((delivery) => cause === undefined || delivery.cause === cause)
      .map(summaryOf)
  }

  activity(source: string, sinceMs: number): SourceActivity {
    const hooked = this.events.filter(({ given }) => given.source === source && given.origin === 'webhook')
    const recovered = this.tasks.all.filter(
      ({ given, resolvedBy, endedAtMs = 0 }) =>
        given.source === source && resolvedBy === 'poll' && endedAtMs >= sinceMs,
    )
    return {
      lastWebhookAtMs:
        hooked.length === 0 ? undefined : Math.max(...hooked.map(({ given: { receivedAtMs } }) => receivedAtMs)),
      recovered: recovered.length,
      stuck: this.tasks.stuck(source, sinceMs),
    }
  }

  #endOf(source: string, id: string): NewEvent | undefined {
    return this.events
      .filter(({ standing, given }) => standing === 'first' && given.source === source && given.task === id)
      .filter(({ given }) => given.taskEnd !== undefined)
      .toSorted((a, b) => a.given.receivedAtMs - b.given.receivedAtMs)[0]?.given
  }

  #create(event: ModelEvent, handler: string, orderKey: number | null, dueAtMs: number): void {
    const isBlocked = headOf(this.deliveries(), handler, orderKey) !== undefined

    event.deliveries.push({
      event,
      handler,
      state: 'pending',
      attempts: 0,
      dueAtMs,
      isolated: false,
      orderKey,
      isBlocked,
      isLost: false,
      leaseUntilMs: 0,
      startedAtMs: 0,
      lease: '',
      history: [],
    })
  }

  #nextDue(nowMs: number): number | undefined {
    const times = this.deliveries().flatMap(({ state, isBlocked, dueAtMs, leaseUntilMs }) =>
      isBlocked ? [] : state === 'pending' ? [dueAtMs] : state === 'running' ? [leaseUntilMs] : [],
    )
    const later = times.filter((time) => time > nowMs)
    return later.length === 0 ? undefined : Math.min(...later)
  }
}

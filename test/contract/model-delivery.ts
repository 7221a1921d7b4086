import type { Attempt, DeliveryState, DeliverySummary } from '../../src/domain/delivery.ts'
import type { ClaimRequest } from '../../src/domain/delivery-queue.ts'
import type { EventStatus, NewEvent } from '../../src/domain/event.ts'
import type { OrderKeys } from '../../src/domain/order-key.ts'
import type { EventOutcome } from '../../src/domain/outcome.ts'

/** What the model store holds, and rules of single deliveries. */

export interface ModelDelivery {
  readonly event: ModelEvent
  readonly handler: string
  state: DeliveryState
  attempts: number
  dueAtMs: number
  isolated: boolean
  orderKey: number | null
  /** Whether it waits for an earlier one with its order key. */
  isBlocked: boolean
  /** Whether its last attempt that counts was lost with its lease. */
  isLost: boolean
  /** The source for whose pause it waited when it was last settled. */
  heldFor?: string | undefined
  leaseUntilMs: number
  startedAtMs: number
  /** As the store under test named it. */
  lease: string
  /** The id of the cause of its death. */
  cause?: string | undefined
  /** The job that replayed it last. */
  job?: ModelReplayJob | undefined
  readonly history: Pick<Attempt, 'number' | 'outcome' | 'errorDetail' | 'cause' | 'answer'>[]
}

export interface ModelReplayJob {
  readonly id: string
  /** Its deliveries that another replay, or retention, has taken from it, in the states in which they were. */
  readonly taken: { readonly handler: string; readonly state: DeliveryState }[]
}

export interface ModelEvent {
  readonly given: NewEvent
  /** Whether it has its id, is in conflict about it, or was not understood. */
  standing: 'first' | 'conflicting' | 'not understood'
  isKnownByBody: boolean
  /** A later event with its source and body was quarantined too: the store may know the bytes by that one alone. */
  isReplaced: boolean
  status: EventStatus
  reasons: readonly string[]
  /** As the store keeps them for an event in conflict. */
  orderKeys?: OrderKeys | undefined
  /** By which it was quarantined in the processes of its handlers. */
  readonly judgements: Set<string>
  readonly deliveries: ModelDelivery[]
}

/** What its deliveries have made of an event. */
export function outcomeIn({ deliveries }: ModelEvent): EventOutcome {
  if (deliveries.length === 0) return 'none'
  if (deliveries.some(({ state }) => state === 'dead')) return 'dead'
  if (deliveries.some(({ state, attempts }) => state === 'pending' && attempts > 0)) return 'failing'
  if (deliveries.some(({ state }) => state === 'pending' || state === 'running')) return 'pending'
  return deliveries.some(({ state }) => state === 'discarded') ? 'discarded' : 'succeeded'
}

export function limitsOf({ leaseMs, maxAttempts, ownLimits = [] }: ClaimRequest, { handler }: ModelDelivery) {
  const own = ownLimits.find((limits) => limits.handler === handler)
  return { leaseMs: own?.leaseMs ?? leaseMs, maxAttempts: own?.maxAttempts ?? maxAttempts }
}

/** The delivery that may run, of all to the handler with this order key. */
export const headOf = (
  deliveries: readonly ModelDelivery[],
  handler: string,
  orderKey: number | null,
): ModelDelivery | undefined =>
  deliveries.find((each) => {
    const isOpen = each.state === 'pending' || each.state === 'running'
    return orderKey !== null && each.handler === handler && each.orderKey === orderKey && !each.isBlocked && isOpen
  })

/** Whether it is pending, but not due yet. */
export const waitsIn = ({ state, isBlocked, heldFor, dueAtMs }: ModelDelivery, nowMs: number): boolean =>
  state === 'pending' && !isBlocked && heldFor === undefined && dueAtMs > nowMs

export function start(delivery: ModelDelivery, nowMs: number, leaseMs: number): void {
  delivery.attempts++
  Object.assign(delivery, { state: 'running', leaseUntilMs: nowMs + leaseMs, startedAtMs: nowMs })
}

/** Makes a delivery due that waits. */
export function hasten(delivery: ModelDelivery, nowMs: number, job: ModelReplayJob | undefined): true {
  Object.assign(delivery, { attempts: 0, dueAtMs: nowMs, job: job ?? delivery.job })
  return true
}

/** Makes a delivery run again that has ended. */
export function restart(
  delivery: ModelDelivery,
  given: Pick<ModelDelivery, 'dueAtMs' | 'orderKey' | 'isBlocked'>,
): void {
  delivery.job?.taken.push({ handler: delivery.handler, state: delivery.state })
  Object.assign(delivery, { state: 'pending', attempts: 0, isolated: false, isLost: false, cause: undefined, ...given })
}

/** A delivery has succeeded or died: the first one behind it may run now. */
export function endedIn(
  deliveries: readonly ModelDelivery[],
  { handler, orderKey }: ModelDelivery,
  nowMs: number,
): void {
  const next = deliveries.find((each) => each.handler === handler && each.orderKey === orderKey && each.isBlocked)
  if (orderKey !== null && next !== undefined) Object.assign(next, { isBlocked: false, dueAtMs: nowMs })
}

/** Puts a delivery back that was claimed while its source was paused. */
export function hold(delivery: ModelDelivery, source: string | undefined, dueAtMs: number): true {
  delivery.state = 'pending'
  delivery.attempts--
  delivery.dueAtMs = dueAtMs
  delivery.heldFor = source
  return true
}

/** How many held deliveries become due: of the first source that is not paused, in order of key. */
export function releaseHeld(
  deliveries: readonly ModelDelivery[],
  paused: ReadonlySet<string>,
  limit: number,
  nowMs: number,
): number {
  const held = deliveries.filter(
    ({ state, isBlocked, heldFor }) =>
      state === 'pending' && !isBlocked && heldFor !== undefined && !paused.has(heldFor),
  )
  const [source] = held.map(({ heldFor }) => heldFor ?? '').toSorted((a, b) => (a < b ? -1 : 1))
  const released = held.filter(({ heldFor }) => heldFor === source).slice(0, limit)
  for (const delivery of released) Object.assign(delivery, { dueAtMs: nowMs, heldFor: undefined })
  return released.length
}

export const summaryOf = (delivery: ModelDelivery): Omit<DeliverySummary, 'lastError'> => ({
  eventUid: delivery.event.given.uid,
  source: delivery.event.given.source,
  type: delivery.event.given.type,
  handler: delivery.handler,
  state: delivery.state,
  attempts: delivery.attempts,
  dueAtMs: delivery.dueAtMs,
  ...(delivery.isBlocked && { waitsForTurn: true }),
  ...(delivery.cause !== undefined && { cause: delivery.cause }),
})

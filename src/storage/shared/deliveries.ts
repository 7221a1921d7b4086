import type { ServiceAnswer } from '../../domain/answer.ts'
import {
  type Attempt,
  type AttemptOutcome,
  DELIVERY_STATES,
  type DeliveryState,
  type DeliverySummary,
  type LeasedDelivery,
  type Settlement,
} from '../../domain/delivery.ts'
import type { ClaimRequest, Replay } from '../../domain/delivery-queue.ts'
import { type ErrorDetail, HoldfastError } from '../../domain/errors.ts'
import type { LeaseOffer, NewEvent } from '../../domain/event.ts'
import type { OrderKeys } from '../../domain/order-key.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { Counts } from '../../domain/store-health.ts'
import { type EndedTask, TASK_STATUSES } from '../../domain/task.ts'
import type { EndedTaskListeners } from './ended-tasks.ts'
import type { Position } from './list-pages.ts'

/** How both stores read rows of deliveries and attempts, and the rules for them that do not depend on the database. */

/** How many handlers one event may have. The key of a delivery is the key of its event times this number, plus an ordinal. */
export const MAX_DELIVERIES_PER_EVENT = 1_024

export const firstDeliveryKey = (eventKey: number): number => eventKey * MAX_DELIVERIES_PER_EVENT
export const lastDeliveryKey = (eventKey: number): number => firstDeliveryKey(eventKey) + MAX_DELIVERIES_PER_EVENT - 1
export const eventKeyOf = (deliveryKey: number): number => Math.floor(deliveryKey / MAX_DELIVERIES_PER_EVENT)

/** The deliveries that the store leased as it appended the event under this key: those of the offered lease. */
export const leasedDeliveries = (
  { handlers, lease: offer }: NewEvent,
  eventKey: number,
  lease: string,
): readonly LeasedDelivery[] =>
  (offer?.handlers ?? []).map((handler) => ({
    deliveryId: firstDeliveryKey(eventKey) + handlers.indexOf(handler),
    lease,
    handler,
  }))

/** How long the lease of the handler at this place in an offer lasts. */
export const offeredLeaseMs = (leaseMs: LeaseOffer['leaseMs'], place: number): number =>
  typeof leaseMs === 'number' ? leaseMs : (leaseMs[place] ?? 0)

type Limits = Pick<ClaimRequest, 'leaseMs' | 'maxAttempts' | 'ownLimits'>

/** Looks up the limits of each handler's deliveries. */
export function limitsOf(request: Limits): (handler: string) => Pick<ClaimRequest, 'leaseMs' | 'maxAttempts'> {
  const { ownLimits } = request
  if (ownLimits === undefined) return () => request
  const { leaseMs, maxAttempts } = request
  const own = new Map(ownLimits.map(({ handler, ...limits }) => [handler, { leaseMs, maxAttempts, ...limits }]))
  return (handler) => own.get(handler) ?? request
}

/**
 * The states as they are stored. A pending delivery that is behind the head of its order key is `blocked`, so that no search for
 * due deliveries meets it. In PostgreSQL it is `unplaced` as long as it is not known whether it is the head (`place_1`). Everything
 * else takes both for pending; so does the table `tally`.
 */
export type StoredState = DeliveryState | 'blocked' | 'unplaced'
export const stateOf = (stored: StoredState): DeliveryState =>
  stored === 'blocked' || stored === 'unplaced' ? 'pending' : stored
/** A condition on the column `state`. */
export const isInState = (state: DeliveryState, column: string): string =>
  state === 'pending' ? `${column} IN ('pending', 'blocked', 'unplaced')` : `${column} = '${state}'`
/** A condition: the delivery has not ended. */
export const IS_OPEN = "state IN ('pending', 'running', 'blocked', 'unplaced')"

export type DeliveryRow = Readonly<{
  key: number
  handler: string
  state: StoredState
  due_at: number
  attempts: number
  last_error: string | null
  /** The id of the row in `cause`. Absent where it was not asked for. */
  cause_id?: string | null
}>

/** A delivery with what is named of its event. */
export type DeliveryOfEvent = DeliveryRow & Readonly<{ uid: string; source: string; type: string }>

export const deliverySummaryOf = (
  row: DeliveryRow,
  event: { readonly uid: string; readonly source: string; readonly type: string },
): DeliverySummary => ({
  eventUid: event.uid,
  source: event.source,
  type: event.type,
  handler: row.handler,
  state: stateOf(row.state),
  attempts: row.attempts,
  dueAtMs: row.due_at,
  ...(row.state === 'blocked' && { waitsForTurn: true }),
  ...(row.last_error !== null && { lastError: row.last_error }),
  ...(typeof row.cause_id === 'string' && { cause: row.cause_id }),
})

/** Where a delivery stands in a list: dead ones are in order of their death, others in order of key. */
export const deliveryPosition = ({ due_at, key }: Pick<DeliveryRow, 'due_at' | 'key'>, isDead: boolean): Position => ({
  atMs: isDead ? due_at : 0,
  key,
})

export type AttemptRow = Readonly<{
  delivery: number
  number: number
  outcome: AttemptOutcome
  error: string | null
  /** JSON, as `storedDetail` makes it. */
  detail: string | null
  /** The id of its replay. */
  replay: string | null
  started_at: number
  duration_ms: number
}>

export const attemptOf = (row: AttemptRow): Attempt => ({
  number: row.number,
  outcome: row.outcome,
  ...(row.error !== null && { error: row.error }),
  ...shownDetail(row.detail),
  ...(row.replay !== null && { replay: row.replay }),
  startedAtMs: row.started_at,
  durationMs: row.duration_ms,
})

/** The id of the replay that an attempt `a` belongs to. */
export const REPLAY_OF_ATTEMPT = `(
  SELECT m.replay FROM replay_mark AS m WHERE m.delivery = a.delivery AND m.ordinal <= a.ordinal ORDER BY m.ordinal DESC LIMIT 1
) AS replay`

/** The details of an error as the API shows them: without the judgement, and the cause and the answer apart. */
function shownDetail(stored: string | null): Pick<Attempt, 'errorDetail' | 'cause' | 'answer'> {
  if (stored === null) return {}
  const { judgement: _, cause_id: cause, answer, ...detail } = JSON.parse(stored) as StoredDetail
  return {
    ...('name' in detail && { errorDetail: detail }),
    ...(cause !== undefined && { cause }),
    ...(answer !== undefined && { answer }),
  }
}

/** `event.order_keys`. */
export const storedOrderKeys = (orderKeys: OrderKeys | undefined): string | null =>
  orderKeys === undefined ? null : JSON.stringify(orderKeys)
/** Reads `event.order_keys`. */
export const orderKeysIn = (stored: unknown): { readonly orderKeys?: OrderKeys } =>
  typeof stored === 'string' ? { orderKeys: JSON.parse(stored) as OrderKeys } : {}

/** A delivery that a replay creates, makes pending again, or, if it waits for another attempt, makes due. */
type ReplayedDelivery = { readonly key: number; readonly handler: string } & (
  | { readonly kind: 'create' }
  | { readonly kind: 'hasten' }
  | { readonly kind: 'restart'; readonly from: EndedState }
)

type EndedState = 'succeeded' | 'dead' | 'discarded'
const isEnded = (state: StoredState): state is EndedState =>
  state === 'succeeded' || state === 'dead' || state === 'discarded'

/** A delivery of an event that is replayed. */
export type ReplayableRow = Readonly<{
  key: number
  handler: string
  state: StoredState
  /** The id of the cause that it died of. */
  cause: string | null
  /** The job that replayed it last. */
  replay: number | null
  /** Whether it is pending and not due yet, and neither blocked nor held. */
  waits: boolean | number
}>
export const replayableColumns = (now: string): string => `
  key, handler, state, replay, (SELECT c.id FROM cause AS c WHERE c.key = delivery.cause) AS cause,
  state = 'pending' AND held_for IS NULL AND due_at > ${now} AS waits
`

/** What `DeliveryQueue.replay` does to the deliveries of an event. `existing`: the deliveries that exist, in order of key. */
export function planReplay(
  eventKey: number,
  existing: readonly ReplayableRow[],
  { handlers, only, cause }: Pick<Replay, 'handlers' | 'only' | 'cause'>,
): readonly ReplayedDelivery[] {
  const byHandler = new Map(existing.map((delivery) => [delivery.handler, delivery]))
  let nextKey = (existing.at(-1)?.key ?? firstDeliveryKey(eventKey) - 1) + 1
  const plan: ReplayedDelivery[] = []
  for (const handler of new Set(handlers)) {
    const delivery = byHandler.get(handler)
    if (only !== undefined && (delivery?.waits ? 'waiting' : delivery?.state) !== only) continue
    if (cause !== undefined && delivery?.cause !== cause) continue
    if (delivery === undefined) {
      if (nextKey > lastDeliveryKey(eventKey)) throw new HoldfastError('invalid_request', 'too many handlers')
      plan.push({ kind: 'create', key: nextKey++, handler })
    } else if (isEnded(delivery.state)) plan.push({ kind: 'restart', key: delivery.key, handler, from: delivery.state })
    else if (delivery.waits) plan.push({ kind: 'hasten', key: delivery.key, handler })
  }
  return plan
}

/** Handlers that `counts` names at most. */
export const MAX_UNSERVED = 100

/** Reads the rows of the table `tally`, which counts deliveries by state and tasks by `task:` and status. */
export function countsOf(
  rows: readonly Readonly<{ state: string; n: number }>[],
  oldestDueAtMs: number | undefined,
): Counts {
  const tally = new Map(rows.map(({ state, n }) => [state, n]))
  const pick = <State extends string>(states: readonly State[], prefix = '') =>
    Object.fromEntries(states.map((state) => [state, tally.get(prefix + state) ?? 0])) as Record<State, number>
  return { deliveries: pick(DELIVERY_STATES), oldestDueAtMs, tasks: pick(TASK_STATUSES, 'task:') }
}

/** The state of a delivery after an attempt. */
export const STATE_AFTER: Readonly<Record<Settlement['verdict'], DeliveryState>> = {
  succeeded: 'succeeded',
  dead: 'dead',
  retry: 'pending',
  released: 'pending',
  held: 'pending',
}

/**
 * Errors of attempts that the store itself ends. Both stores compare `LEASE_LOST` with the stored `last_error`: a changed text
 * would not match rows that an earlier release wrote.
 */
export const LEASE_LOST = 'what ran it went away before it ended'
export const NO_ATTEMPT_LEFT = 'no attempt is left'
export const BODY_CORRUPT = 'the stored body no longer matches its checksum'
export const bodyDamaged = (reason: string): string => `body cannot be read: ${reason}`

type StoredDetail = ErrorDetail & {
  readonly judgement?: string
  readonly cause_id?: string
  readonly answer?: ServiceAnswer
}

/**
 * `attempt.detail`: the error's details, the judgement that ended the attempt, the id of its cause, and the answer of the service to
 * which it posted, in one JSON object. A release that does not know one of them leaves it out.
 */
export function storedDetail({
  detail,
  judgement,
  cause,
  answer,
}: Pick<Settlement, 'detail' | 'judgement' | 'cause' | 'answer'>): string | null {
  if ([detail, judgement, cause, answer].every((part) => part === undefined)) return null
  return JSON.stringify({
    ...detail,
    ...(judgement !== undefined && { judgement }),
    ...(cause && { cause_id: cause.id }),
    ...(answer && { answer }),
  })
}

/** A column: the id of the cause of the delivery `d`. */
export const CAUSE_ID = '(SELECT c.id FROM cause AS c WHERE c.key = d.cause) AS cause_id'

/** An event that took the id that a quarantined event gave up. */
export interface Successor {
  readonly uid: string
  /** The uid of the quarantined event. */
  readonly of: string
  /** The task that the event ends, if no other event had ended it. */
  readonly ended?: EndedTask
}

/** Which settlements took effect, and which events took an id that a quarantined event gave up because of them. */
export interface Settled {
  readonly took: readonly boolean[]
  readonly successors: readonly Successor[]
}

/**
 * To be called after the commit: notifies of the tasks that ended, logs the successors, and returns which settlements took
 * effect.
 */
export function announceSettled(
  { took, successors }: Settled,
  endedTasks: EndedTaskListeners,
  onLog: StoreLog,
): readonly boolean[] {
  for (const { uid, of, ended } of successors) {
    if (ended !== undefined) endedTasks.notify(ended)
    onLog(
      'info',
      `event ${of} is quarantined and gives its id up: event ${uid}, which was in conflict with it, takes the id`,
    )
  }
  return took
}

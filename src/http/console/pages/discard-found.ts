import { HoldfastError } from '../../../domain/errors.ts'
import type { EventSummary } from '../../../domain/event.ts'
import type { EventFilter } from '../../../domain/event-filter.ts'
import type { ConsolePorts } from '../ports.ts'
import { filterOf, type Meant } from './meant.ts'
import { deliveriesInWords, type Sample } from './samples.ts'

/** Events that one walk goes over at most, and those of one of its steps. */
const MAX_EVENTS = 1_000
const STEP_SIZE = 100
/** After so long no further step begins. A step ends after two seconds. */
const COUNT_MS = 1_000
const DISCARD_MS = 10_000
const SAMPLES = 3

/** The dead letters of events that are found by what is in their payloads. */
export interface DeadFound {
  readonly filter: EventFilter & { readonly outcome: 'dead' }
  /** Only those of this one. */
  readonly handler?: string
}

type Store = Pick<ConsolePorts['store'], 'events' | 'event' | 'discardOf'>

/** Undefined: what is meant is not searched for in payloads. Throws `invalid_request` if it can be found in neither way. */
export function deadFoundBy(meant: Meant): DeadFound | undefined {
  const { delivery: _, handler, cause, outcome, ...filter } = filterOf(meant)
  if (filter.contains === undefined && filter.match === undefined) return undefined
  if (outcome !== 'dead')
    throw new HoldfastError('invalid_request', 'only dead letters can be discarded: search for outcome:dead')
  if (cause !== undefined)
    throw new HoldfastError(
      'invalid_request',
      'dead letters are discarded by their cause or by what their events contain',
    )
  return { filter: { ...filter, outcome }, ...(handler !== undefined && { handler }) }
}

/** How many events there are; `more`: at least so many. */
export async function countFound(
  { filter, handler }: DeadFound,
  store: Store,
): Promise<{ readonly events: number; readonly more: boolean; readonly rows: readonly Sample[] }> {
  const first: EventSummary[] = []
  let events = 0
  const more = await walk(filter, store, COUNT_MS, async (event) => {
    events++
    if (first.length < SAMPLES) first.push(event)
  })
  const rows = first.map(async ({ uid, type, receivedAtMs }): Promise<Sample> => {
    const { deliveries = [] } = (await store.event(uid)) ?? {}
    const dead = deliveries.filter((each) => each.state === 'dead' && (handler ?? each.handler) === each.handler)
    return { uid, type, atMs: receivedAtMs, says: deliveriesInWords(dead) }
  })
  return { events, more, rows: await Promise.all(rows) }
}

/**
 * Discards event by event, so that no acknowledgement waits for more than one. `onStep` is called with the number so far, which stays discarded
 * if a later one fails.
 */
export async function discardFound(
  { filter, handler }: DeadFound,
  store: Store,
  onStep: (discarded: number) => void,
): Promise<{ readonly discarded: number; readonly more: boolean }> {
  let discarded = 0
  const more = await walk(filter, store, DISCARD_MS, async ({ uid }) => {
    discarded += (await store.discardOf(uid, handler).catch(unlessGone)).length
    onStep(discarded)
  })
  return { discarded, more }
}

/** An event that is gone meanwhile needs no discard. */
export const unlessGone = (error: unknown): readonly string[] => {
  if (error instanceof HoldfastError && error.code !== 'unavailable') return []
  throw error
}

/** Resolves with whether there may be more events. */
async function walk(
  filter: EventFilter,
  store: Store,
  ms: number,
  onEvent: (event: EventSummary) => Promise<void>,
): Promise<boolean> {
  const endsAtMs = performance.now() + ms
  let left = MAX_EVENTS
  let cursor: string | undefined
  do {
    const limit = Math.min(STEP_SIZE, left)
    const page = await store.events(filter, { limit, ...(cursor !== undefined && { cursor }) })
    for (const event of page.items) await onEvent(event)
    left -= page.items.length
    cursor = page.nextCursor
  } while (cursor !== undefined && left > 0 && performance.now() < endsAtMs)
  return cursor !== undefined
}

import type { EventFilter } from '../domain/event-filter.ts'
import type { TailedEvent } from '../domain/event-tail.ts'
import type { KeyRange, ReplayJobs } from '../domain/replay-jobs.ts'

/** How the events in a range of positions are found that match a filter. A position of the tail is the key of an event. */
export type FindMatches = ReplayJobs['matches']

/** Of events in the order of the tail, those whose payload matches. */
export type SearchPayloads = (events: readonly TailedEvent[]) => Promise<readonly TailedEvent[]>

/** How many matches one search returns at most. */
const MATCHES_AT_ONCE = 1_000

/** Undefined if the filter is not about payloads. */
export function createPayloadSearch(filter: EventFilter, find: FindMatches): SearchPayloads | undefined {
  if (!isAboutPayloads(filter)) return undefined
  return async (events) => {
    const range = rangeOf(events.map(({ position }) => position))
    const keys = new Set(range === undefined ? [] : await keysIn(find, filter, range))
    return events.filter(({ position }) => keys.has(position))
  }
}

const isAboutPayloads = ({ contains, match }: EventFilter): boolean => contains !== undefined || match !== undefined

/** The range of keys in rising order. */
function rangeOf(keys: readonly number[]): KeyRange | undefined {
  const [first, last] = [keys.at(0), keys.at(-1)]
  return first === undefined || last === undefined ? undefined : { after: first - 1, last }
}

async function keysIn(find: FindMatches, filter: EventFilter, range: KeyRange): Promise<readonly number[]> {
  const keys: number[] = []
  for (let { after } = range; after < range.last; ) {
    const { events, readTo } = await find(filter, { ...range, after }, MATCHES_AT_ONCE)
    for (const { key } of events) keys.push(key)
    after = readTo
  }
  return keys
}

/**
 * How far behind the newest event a watch looks, in keys. What has succeeded, and what has no delivery, is not found by an index, and is
 * settled soon after it was stored.
 */
const WINDOW = 1_000_000
const SHORT_WINDOW = 10_000
/** The events of a window that have the outcome: if there are more, the window is shorter. */
const MAX_SEEN = 20_000

/** Tells each event once, when it has an outcome. */
export class OutcomeWatch {
  readonly #filter: EventFilter
  readonly #find: FindMatches
  readonly #window: number
  /** The window begins after this key. */
  #after: number
  /** The last position looked at. */
  #position: number
  #seen: Set<number> | undefined

  /** Events up to the position are told only if they get the outcome later. */
  constructor(filter: EventFilter, find: FindMatches, position: number) {
    this.#filter = filter
    this.#find = find
    this.#window = filter.outcome === 'succeeded' || filter.outcome === 'none' ? SHORT_WINDOW : WINDOW
    this.#after = Math.max(0, position - this.#window)
    this.#position = position
  }

  /** The keys of events up to the position that have the outcome, and have not been told, in rising order. */
  async look(position: number): Promise<readonly number[]> {
    this.#seen ??= new Set(await this.#keysUpTo(this.#position))
    const seen = this.#seen
    const fresh = (await this.#keysUpTo(position)).filter((key) => !seen.has(key))
    const told = await this.#ofPayload(fresh)
    for (const key of fresh) seen.add(key)
    this.#position = position
    this.#shorten(seen)
    return told
  }

  /** Without a look at payloads. */
  #keysUpTo(last: number): Promise<readonly number[]> {
    const { contains: _, match: __, ...filter } = this.#filter
    return keysIn(this.#find, filter, { after: this.#after, last })
  }

  /** Each payload is read once. */
  async #ofPayload(keys: readonly number[]): Promise<readonly number[]> {
    const range = rangeOf(keys)
    if (range === undefined || !isAboutPayloads(this.#filter)) return keys
    const matching = new Set(await keysIn(this.#find, this.#filter, range))
    return keys.filter((key) => matching.has(key))
  }

  #shorten(seen: Set<number>): void {
    this.#after = Math.max(this.#after, this.#position - this.#window)
    if (seen.size > MAX_SEEN) this.#after = [...seen].toSorted((one, other) => other - one)[MAX_SEEN] ?? this.#after
    for (const key of seen) if (key <= this.#after) seen.delete(key)
  }
}

import type { EventFilter } from '../domain/event-filter.ts'
import type { TailedEvent } from '../domain/event-tail.ts'
import type { EventOutcome } from '../domain/outcome.ts'
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

/** The last `MAX_SEEN` matches, and at most as many before them. */
async function keysIn(find: FindMatches, filter: EventFilter, range: KeyRange): Promise<readonly number[]> {
  const keys: number[] = []
  for (let { after } = range; after < range.last; ) {
    const { events, readTo } = await find(filter, { ...range, after }, MATCHES_AT_ONCE)
    for (const { key } of events) keys.push(key)
    if (keys.length > 2 * MAX_SEEN) keys.splice(0, keys.length - MAX_SEEN)
    after = readTo
  }
  return keys
}

/** The outcomes whose events an index has. */
const FOUND_BY_INDEX: ReadonlySet<EventOutcome | undefined> = new Set(['dead', 'failing', 'discarded'])
/** How far behind the newest event a watch looks, in keys: for these outcomes, and for others, by which events are searched row by row. */
const WINDOW = 1_000_000
const SHORT_WINDOW = 10_000
/** The events of a window that have the outcome: if there are more, the window is shorter. */
const MAX_SEEN = 20_000

/** Tells each event when it gets an outcome. */
export class OutcomeWatch {
  readonly #filter: EventFilter
  readonly #find: FindMatches
  readonly #window: number
  /** The window begins after this key. */
  #after: number
  /** The last position looked at. */
  #position: number
  /** The events of the window that had the outcome at the last look. */
  #seen: ReadonlySet<number> | undefined

  /** Events up to the position are told only if they get the outcome later. */
  constructor(filter: EventFilter, find: FindMatches, position: number) {
    this.#filter = filter
    this.#find = find
    this.#window = FOUND_BY_INDEX.has(filter.outcome) ? WINDOW : SHORT_WINDOW
    this.#after = Math.max(0, position - this.#window)
    this.#position = position
  }

  /** The keys of events up to the position that have the outcome now, and did not have it at the last look, in rising order. */
  async look(position: number): Promise<readonly number[]> {
    const seen = (this.#seen ??= new Set(await this.#keysUpTo(this.#position)))
    const keys = await this.#keysUpTo(position)
    const told = await this.#ofPayload(keys, seen)
    this.#position = position
    this.#after = Math.max(this.#after, position - this.#window, keys.at(-MAX_SEEN - 1) ?? 0)
    this.#seen = new Set(keys.filter((key) => key > this.#after))
    return told
  }

  /** Without a look at payloads. */
  #keysUpTo(last: number): Promise<readonly number[]> {
    const { contains: _, match: __, ...filter } = this.#filter
    return keysIn(this.#find, filter, { after: this.#after, last })
  }

  /** Of the keys that were not seen, those whose payload matches. No payload of one that was seen is read again. */
  async #ofPayload(keys: readonly number[], seen: ReadonlySet<number>): Promise<readonly number[]> {
    const fresh = keys.filter((key) => !seen.has(key))
    if (!isAboutPayloads(this.#filter)) return fresh
    const told: number[] = []
    for (const range of rangesBetween(keys, seen)) told.push(...(await keysIn(this.#find, this.#filter, range)))
    return told.filter((key) => !seen.has(key))
  }
}

/** The ranges of the keys that were not seen; no key that was seen lies in one. */
function rangesBetween(keys: readonly number[], seen: ReadonlySet<number>): readonly KeyRange[] {
  const runs: number[][] = [[]]
  for (const key of keys) {
    if (seen.has(key)) runs.push([])
    else runs.at(-1)?.push(key)
  }
  return runs.map(rangeOf).filter((range) => range !== undefined)
}

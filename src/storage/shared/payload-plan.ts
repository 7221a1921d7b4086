import type { EventFilter } from '../../domain/event-filter.ts'
import { type IndexedPath, MAX_INDEXED_BYTES, type PayloadPath } from '../../domain/payload-index.ts'

/** A row of the table `payload_path`. */
export type PathRow = Readonly<{
  id: number
  source: string
  path: string
  /** The index has the values of every event of the source with this key or a greater one. Null: of none yet. */
  complete_from: number | null
}>

/** How the index answers a condition of a filter. */
export interface MatchPlan {
  readonly ids: readonly number[]
  readonly value: string
  /** The index has all events from this key on; those before it have to be read. */
  readonly from: number
}

/**
 * Undefined: the index does not help. `sources`: all that have events; without a source in the filter the index must have the path
 * for all of them.
 */
export function planMatch(
  { source, match = [] }: EventFilter,
  rows: readonly PathRow[],
  sources: readonly string[],
): MatchPlan | undefined {
  const plans = match.flatMap(({ path, value }): readonly MatchPlan[] => {
    const known = rows.filter((row) => row.path === path)
    if (source !== undefined) {
      const row = known.find((each) => each.source === source)
      if (row === undefined || row.complete_from === null) return []
      return [{ ids: [row.id], value, from: row.complete_from }]
    }
    const whole = known.filter(({ complete_from }) => complete_from === 0)
    const isWhole = sources.every((each) => whole.some((row) => row.source === each))
    return isWhole && whole.length > 0 ? [{ ids: whole.map(({ id }) => id), value, from: 0 }] : []
  })
  return plans.toSorted((a, b) => a.from - b.from)[0]
}

export const indexedPathOf = ({ source, path, complete_from }: PathRow, lastKey: number): IndexedPath => ({
  source,
  path,
  share:
    complete_from === null || lastKey === 0
      ? complete_from === 0
        ? 1
        : 0
      : 1 - Math.max(0, complete_from - 1) / Math.max(lastKey, complete_from),
})

/** The rows of one source that the next step of indexing is for: those that have got equally far. */
export function nextToIndex(rows: readonly PathRow[]): readonly PathRow[] {
  const open = rows.filter(({ complete_from }) => complete_from !== null && complete_from > 0)
  const first = open.toSorted((a, b) => (b.complete_from ?? 0) - (a.complete_from ?? 0))[0]
  return open.filter(({ source, complete_from }) => source === first?.source && complete_from === first.complete_from)
}

export const isKept = (paths: readonly PayloadPath[], { source, path }: PayloadPath): boolean =>
  paths.some((kept) => kept.source === source && kept.path === path)

/** Candidates of several sorted lists, the greatest key first, as far down as all lists go. `limit`: of each list. */
export function mergeKeys(
  lists: readonly (readonly number[])[],
  limit: number,
): { keys: readonly number[]; isEnd: boolean } {
  const full = lists.filter((list) => list.length === limit)
  const lowest = Math.max(0, ...full.map((list) => list.at(-1) ?? 0))
  const keys = [...new Set(lists.flat())].filter((key) => key >= lowest).toSorted((a, b) => b - a)
  return { keys, isEnd: full.length === 0 }
}

/** Keys that are passed over at once where the index does not have the events yet. */
export const UNINDEXED_KEYS = 20_000
/** Events, and values, of one step of indexing: other commits wait for no more than that. */
export const INDEX_STEP_EVENTS = 100
const INDEX_STEP_VALUES = 1_000

/** The body of an event, or null without reading it if it is too long for the index. */
export const indexedBody = (bytes: string): string =>
  `CASE WHEN event.size <= ${MAX_INDEXED_BYTES} THEN ${bytes} END AS bytes`

/** The values of as many events as one step takes, and the key of the last one. `values`: of one event. */
export function takeValues<Found extends { readonly key: number }, Value>(
  found: readonly Found[],
  values: (event: Found) => readonly Value[],
): { readonly values: readonly Value[]; readonly last: number | undefined } {
  const taken: Value[] = []
  let last: number | undefined
  for (const event of found) {
    if (taken.length >= INDEX_STEP_VALUES) return { values: taken, last }
    taken.push(...values(event))
    last = event.key
  }
  return { values: taken, last: found.length < INDEX_STEP_EVENTS ? undefined : last }
}

import type { CappedCount, EventFacets, OutcomeCounts } from '../../../domain/event-facets.ts'
import { within } from '../../../domain/within.ts'
import { filterOfWords, type SearchWord } from '../search-words.ts'

/** A search without one of its words. */
export interface Fewer {
  readonly without: SearchWord
  readonly words: readonly SearchWord[]
  /** Undefined: it is not known how many events match. */
  readonly count: CappedCount | undefined
}

/** Words that are left out in turn. */
const MAX_TRIED = 6

/**
 * What a search would find without one of its words, counted until `endsAtMs` (of the monotonic clock); those without which it finds
 * nothing either are left out.
 */
export async function fewerWords(
  facets: Pick<EventFacets, 'countByOutcome'>,
  words: readonly SearchWord[],
  nowMs: number,
  endsAtMs: number,
): Promise<readonly Fewer[]> {
  const fewer: Fewer[] = []
  for (const without of words.slice(0, MAX_TRIED)) {
    const others = words.filter((word) => word !== without)
    const { outcome, contains, match, ...filter } = filterOfWords(others, nowMs)
    const leftMs = endsAtMs - performance.now()
    const isCounted = contains === undefined && match === undefined && leftMs > 0
    const counts = isCounted ? await within(leftMs, facets.countByOutcome(filter)) : undefined
    const count = counts && (outcome === undefined ? sumOf(counts) : counts[outcome])
    if (count === undefined || count.count > 0 || count.more) fewer.push({ without, words: others, count })
  }
  return fewer
}

/** Of all outcomes. */
export const sumOf = (counts: OutcomeCounts): CappedCount =>
  Object.values(counts).reduce((sum, { count, more }) => ({ count: sum.count + count, more: sum.more || more }), {
    count: 0,
    more: false,
  })

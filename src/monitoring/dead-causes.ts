import type { DeadCause, DeadCauseFilter, DeadCauses, DeadLetters, ReadDeadCauses } from '../domain/dead-letters.ts'

/** How old an answer may be; and the largest share of the time that the store may be counting. */
const MAX_AGE_MS = 1_000
const COUNTING_SHARE = 0.1

interface Counted {
  readonly counting: Promise<DeadCauses>
  goodUntilMs: number
}

/**
 * Reads the dead deliveries by cause. Answers without a time come from one count of all causes, which metrics and every caller share, so
 * that pages which ask often cost the store little.
 */
export function createReadDeadCauses(
  store: Pick<DeadLetters, 'deadCauses'>,
  monotonicMs: () => number = () => performance.now(),
): ReadDeadCauses {
  let counted: Counted | undefined

  function countAll(): Promise<DeadCauses> {
    if (counted !== undefined && monotonicMs() < counted.goodUntilMs) return counted.counting
    const startedMs = monotonicMs()
    const mine: Counted = { counting: store.deadCauses({}), goodUntilMs: Number.POSITIVE_INFINITY }
    counted = mine
    mine.counting.then(
      () => {
        const endedMs = monotonicMs()
        mine.goodUntilMs = endedMs + Math.max(MAX_AGE_MS, (endedMs - startedMs) / COUNTING_SHARE)
      },
      () => {
        if (counted === mine) counted = undefined
      },
    )
    return mine.counting
  }

  return async (filter) => {
    if (filter.sinceMs !== undefined || filter.untilMs !== undefined) return store.deadCauses(filter)
    const { causes, unnamed } = await countAll()
    const isAll = filter.handler === undefined && filter.source === undefined && filter.cause === undefined
    return isAll ? { causes, unnamed } : { causes: causes.filter(matching(filter)), unnamed: 0 }
  }
}

const matching =
  (filter: DeadCauseFilter) =>
  ({ handler, source, id }: DeadCause): boolean =>
    (filter.handler ?? handler) === handler && (filter.source ?? source) === source && (filter.cause ?? id) === id

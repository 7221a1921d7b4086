/** The part of all rooms that no single handler can take: it is kept for those of which few run, or none. */
const RESERVED_PART = 0.25

export interface RoomsRequest {
  /** Rooms in all, and those that are free now. */
  readonly total: number
  readonly free: number
  /** How many of each handler run, of all that there are. */
  readonly running: ReadonlyMap<string, number>
}

/**
 * How many more of each handler may start: as many as are free, less what is kept for others. Each handler is sure of a few
 * rooms, however many of another hang or are waiting: a quarter of all rooms is kept for those that have not had theirs. A
 * handler that is the only one may have all.
 */
export function shareRooms({ total, free, running }: RoomsRequest): ReadonlyMap<string, number> {
  const kept = Math.floor(total * RESERVED_PART)
  const own = Math.max(1, Math.floor(kept / Math.max(1, running.size - 1)))
  const lacks = (count: number): number => Math.max(0, own - count)
  const lacking = [...running.values()].reduce((sum, count) => sum + lacks(count), 0)
  return new Map(
    [...running].map(([handler, count]) => {
      const forOthers = Math.min(kept, lacking - lacks(count))
      return [handler, Math.max(Math.min(free, lacks(count)), free - forOthers, 0)]
    }),
  )
}

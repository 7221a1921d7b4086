/** Rooms beside the ordinary ones, as a part of those: for handlers that have none while others hold all. */
const EXTRA_PART = 0.25

/** Attempts that may run at once beyond the configured number. */
export const extraRooms = (ordinary: number): number => Math.ceil(ordinary * EXTRA_PART)

export interface Rooms {
  /** Ordinary ones that are free; 0 where even some of the extra ones are taken. */
  readonly ordinaryFree: number
  /** Extra ones that are free. */
  readonly extraFree: number
  /** All extra ones. */
  readonly extra: number
}

/**
 * How many more of each handler may start: as many as there are ordinary rooms free; and where others hold them all, a few in
 * the extra rooms, in which every handler has its share. So no handler starves another, however many of it hang or wait, and
 * one that is alone may have all ordinary rooms.
 */
export function shareRooms(rooms: Rooms, running: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const { ordinaryFree, extraFree, extra } = rooms
  const share = running.size < 2 ? 0 : Math.max(1, Math.floor(extra / (running.size - 1)))
  return new Map(
    [...running].map(([handler, count]) => [handler, Math.max(ordinaryFree, Math.min(extraFree, share - count), 0)]),
  )
}

/** Attempts that could start now: of handlers in general (the extra ones included), of those in trouble, and alone. */
export interface Room {
  readonly shared: number
  readonly troubled: number
  readonly isolated: number
}

/**
 * `event.variant` in both stores: whether an event has taken its id, is in conflict about it, or was not understood
 * (quarantined when it came, or before any handler ran, and not understood since).
 */
export const FIRST = 0
export const CONFLICTING = 1
export const NOT_UNDERSTOOD = 2
export type Variant = typeof FIRST | typeof CONFLICTING | typeof NOT_UNDERSTOOD

/** The reason of a conflict: a quarantined event is replayed and understood, and event `uid` has its id or its body already. */
export const takenBy = (uid: string): readonly string[] => [
  `event ${uid} came under this id, or with this body, and was understood before: replay this one again to run it all the same`,
]

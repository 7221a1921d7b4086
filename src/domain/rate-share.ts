import type { Replica } from './replica-registry.ts'

/**
 * The part of a handler's rate that one process has: `count` processes share it, and this one has the place `place`, counted from 0.
 * The shares of all are whole numbers whose sum is the limit, so those with the first places may have one more.
 */
export interface RateShare {
  readonly place: number
  readonly count: number
}

export const WHOLE_RATE: RateShare = { place: 0, count: 1 }

/** The share of the process `uid` among the workers that have the handler. */
export function rateShareOf(uid: string, handler: string, workers: readonly Replica[]): RateShare {
  const sharing = workers.filter(
    (worker) => worker.uid === uid || worker.handlers?.some(({ name }) => name === handler) === true,
  )
  const place = sharing.findIndex((worker) => worker.uid === uid)
  // The others may not know this process yet, or may take it for gone.
  return place === -1 ? { place: sharing.length, count: sharing.length + 1 } : { place, count: sharing.length }
}

import { type DeadPosition, MAX_DEAD_WALKED } from '../../domain/dead-letters.ts'
import { HoldfastError } from '../../domain/errors.ts'

/** Handlers and sources of one cause that are looked at together; a walk comes to the others step by step. */
export const MAX_CAUSE_KEYS = 200

/** A dead delivery that a walk has looked at; `matches`: 1 or true if the filter matches its event. */
export type WalkedRow = Readonly<{ key: number; due_at: number; matches: number | boolean | null }>

/** The deliveries that one step of a walk has found. */
export interface FoundDead {
  readonly keys: readonly number[]
  readonly next: DeadPosition | undefined
}

/**
 * Takes the first matching deliveries of those that were looked at. `causes`: the keys of the causes that the walk goes over, from the
 * present one on; undefined: it goes over all dead deliveries.
 */
export function takeMatches(
  rows: readonly WalkedRow[],
  limit: number,
  causes: readonly number[] | undefined,
): FoundDead {
  const keys: number[] = []
  for (const [at, { key, due_at, matches }] of rows.entries()) {
    if (matches === 1 || matches === true) keys.push(key)
    const isLast = at === rows.length - 1
    if (keys.length === limit && !(isLast && rows.length < MAX_DEAD_WALKED))
      return { keys, next: positionAt(due_at, key, causes?.[0]) }
  }
  const last = rows.length < MAX_DEAD_WALKED ? undefined : rows.at(-1)
  if (last !== undefined) return { keys, next: positionAt(last.due_at, last.key, causes?.[0]) }
  const cause = causes?.[1]
  return { keys, next: cause === undefined ? undefined : { ...BEFORE_ALL, causeKey: cause } }
}

const positionAt = (diedAtMs: number, key: number, causeKey: number | undefined): DeadPosition => ({
  diedAtMs,
  key,
  ...(causeKey !== undefined && { causeKey }),
})

export const BEFORE_ALL: DeadPosition = { diedAtMs: Number.MIN_SAFE_INTEGER, key: 0 }

export const noSuchDelivery = (eventUid: string, handler: string): HoldfastError =>
  new HoldfastError('handler_not_found', `event ${eventUid} has no delivery to a handler ${handler}`)

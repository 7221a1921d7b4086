import { HoldfastError } from '../../domain/errors.ts'
import { MAX_PAGE_SIZE } from '../../domain/limits.ts'
import type { PageRequest } from '../../domain/store.ts'

/** Where a list goes on: strictly after this item, in the list's own order. */
export interface Position {
  /** Time of receipt for events, of death for dead deliveries; 0 for other deliveries and tasks, which are in order of key alone. */
  readonly atMs: number
  readonly key: number
}

export const START: Position = { atMs: Number.MAX_SAFE_INTEGER, key: Number.MAX_SAFE_INTEGER }

export type List = 'events' | 'deliveries' | 'dead' | 'tasks'

export const cursorOf = (list: List, { atMs, key }: Position): string =>
  Buffer.from(`${list}:${atMs}:${key}`).toString('base64url')

/** Where the page starts. Throws `invalid_request` for a cursor of nobody's or of another list, and for a limit out of bounds. */
export function startOf(list: List, { limit, cursor }: PageRequest): Position {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_SIZE) {
    throw new HoldfastError('invalid_request', `limit must be from 1 to ${MAX_PAGE_SIZE}`)
  }
  if (cursor === undefined) return START
  const parts = /^([a-z]+):(-?\d{1,16}):(\d{1,16})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))
  const position = { atMs: Number(parts?.[2]), key: Number(parts?.[3]) }
  if (parts?.[1] !== list || cursorOf(list, position) !== cursor) {
    throw new HoldfastError('invalid_request', 'the cursor is not one that this list gave')
  }
  return position
}

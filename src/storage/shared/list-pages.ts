import { HoldfastError } from '../../domain/errors.ts'
import { MAX_PAGE_SIZE } from '../../domain/limits.ts'
import type { PageRequest } from '../../domain/page.ts'

/** Cursors, pages and conditions of the lists of events, deliveries and tasks. */

/**
 * How many rows are read for one page at most, if no index answers the filter. The page may then be short, but it has a cursor.
 */
export const MAX_EVENTS_READ = 100_000
/** The time after which such a page of events ends too, looked at whenever so many have been read: they may take long on a busy machine. */
const EVENTS_READ_MS = 120
export const EVENTS_PER_STEP = 10_000
export const MAX_DELIVERIES_READ = 50_000
export const MAX_TASKS_READ = 50_000
/** How many events of one type are read at most to find the last one that came by webhook. */
export const MAX_RECENT_READ = 20_000

/** A place in a list: the list goes on strictly after this item, in its own order. */
export interface Position {
  /**
   * For events the time of receipt; for dead deliveries the time at which they died; 0 for other deliveries, for tasks and for arrivals,
   * which are in order of key alone.
   */
  readonly atMs: number
  readonly key: number
}

const START: Position = { atMs: Number.MAX_SAFE_INTEGER, key: Number.MAX_SAFE_INTEGER }

/** `arrivals`: events in order of key, that of their arrival. */
type List = 'events' | 'arrivals' | 'deliveries' | 'dead' | 'tasks' | 'replays' | 'drift' | 'audit'

const cursorOf = (list: List, { atMs, key }: Position): string =>
  Buffer.from(`${list}:${atMs}:${key}`).toString('base64url')

/** Where the page starts. Throws `invalid_request` for a limit out of bounds, and for a cursor that this list never gave. */
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

/** Rows of a list, one more than the page's limit if there are so many. */
export interface PageRows<Row> {
  readonly rows: readonly Row[]
  /** The last row that was read, if the bound left further rows unread. */
  readonly end: Position | undefined
}

/** The rows that the page shows, and the cursor that the next page starts with. */
export function cutPage<Row>(
  list: List,
  { limit }: PageRequest,
  { rows, end }: PageRows<Row>,
  positionOf: (row: Row) => Position,
): { readonly shown: readonly Row[]; readonly nextCursor: string | undefined } {
  const shown = rows.slice(0, limit)
  const lastShown = shown.at(-1)
  const last = rows.length > limit && lastShown !== undefined ? positionOf(lastShown) : end
  return { shown, nextCursor: last && cursorOf(list, last) }
}

/** A condition and the values of its question marks. */
export type Condition<Value> = readonly [sql: string, ...values: Value[]]

export const optional = <Value>(sql: string, value: Value | undefined): readonly Condition<Value>[] =>
  value === undefined ? [] : [[sql, value]]

/** Composes a statement of conditions. No value ever becomes part of the text. */
export function composeStatement<Value>(
  select: string,
  conditions: readonly Condition<Value>[],
  tail: string,
  tailValues: readonly Value[],
): { readonly sql: string; readonly values: readonly Value[] } {
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`
  return {
    sql: `${select} ${where} ${tail}`,
    values: [...conditions.flatMap(([, ...values]) => values), ...tailValues],
  }
}

const escapeLike = (text: string): string => text.replace(/[\\%_]/g, '\\$&')

/** A LIKE pattern, with `\` as its escape, for a text that contains this one. */
export const likeContaining = (text: string): string => `%${escapeLike(text)}%`

/** A LIKE pattern for a pattern of event types, in which `*` matches anything. */
export const likeMatching = (pattern: string): string => escapeLike(pattern).replace(/\*+/g, '%')

/** Says when a page of events ends that is read step by step. */
export class Steps {
  readonly #endsAtMs = performance.now() + EVENTS_READ_MS
  #read = 0

  /** Called after each step. */
  areOver(): boolean {
    this.#read += EVENTS_PER_STEP
    return this.#read >= MAX_EVENTS_READ || performance.now() >= this.#endsAtMs
  }
}

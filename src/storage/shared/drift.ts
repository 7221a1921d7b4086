import type { DriftChange, DriftEntry, DriftFilter, ShapeSave } from '../../domain/drift-store.ts'
import { MAX_SHAPE_CHARACTERS } from '../../domain/drift-store.ts'
import { HoldfastError } from '../../domain/errors.ts'
import { type Condition, optional, type Position } from './list-pages.ts'

export type DriftRow = Readonly<{
  key: number
  source: string
  type: string
  path: string
  what: DriftChange
  from_kinds: string | null
  to_kinds: string | null
  at: number
  event: string
}>

export const driftEntryOf = (row: DriftRow): DriftEntry => ({
  source: row.source,
  type: row.type,
  path: row.path,
  what: row.what,
  ...(row.from_kinds !== null && { from: row.from_kinds }),
  ...(row.to_kinds !== null && { to: row.to_kinds }),
  atMs: Number(row.at),
  event: row.event,
})

export const driftPosition = ({ at, key }: DriftRow): Position => ({ atMs: Number(at), key: Number(key) })

/** The conditions of a page of the list, after a position; those on source and type are the store's own. */
export const driftConditions = (
  { sinceMs, untilMs }: DriftFilter,
  { atMs, key }: Position,
): readonly Condition<number>[] => [
  ...optional<number>('at >= ?', sinceMs),
  ...optional<number>('at < ?', untilMs),
  ['at <= ?', atMs],
  ['(at < ? OR key < ?)', atMs, key],
]

export function checkShape({ shape }: ShapeSave): void {
  if (shape.length > MAX_SHAPE_CHARACTERS)
    throw new HoldfastError('invalid_request', `a shape must not be longer than ${MAX_SHAPE_CHARACTERS} characters`)
}

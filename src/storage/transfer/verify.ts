import { createHash } from 'node:crypto'
import {
  MOVED_TABLES,
  type MoveDifference,
  type MovedTable,
  type MoveProgress,
  type TableComparison,
  type TableSum,
} from '../../domain/store-move.ts'
import type { Import } from '../postgres/import.ts'
import { type StoredState, stateOf } from '../shared/deliveries.ts'
import {
  comparePositions,
  describePosition,
  FROM_START,
  lineOf,
  type MovedRow,
  positionOf,
} from '../shared/moved-rows.ts'
import type { Export } from '../sqlite/export.ts'

export interface BothSides {
  readonly source: Export
  readonly target: Import
  /** Throws if the move is to stop. */
  readonly progress: (step: MoveProgress['step'], table: MovedTable, done: number) => void
}

interface Verified {
  readonly tables: readonly TableComparison[]
  /** The first difference, in order of tables and keys. */
  readonly difference: MoveDifference | undefined
  /** Rows of the target: deliveries by state, tasks by `task:` and status. */
  readonly counts: ReadonlyMap<string, number>
}

/**
 * Reads both sides from the first row to the last, and compares them row by row. Each side's checksum is made of the rows that
 * were read from it, so that equal checksums mean equal rows.
 */
export async function verify(sides: BothSides): Promise<Verified> {
  const counts = new Map<string, number>()
  const tables: TableComparison[] = []
  let difference: MoveDifference | undefined
  for (const table of MOVED_TABLES) {
    const compared = await compare(sides, table, (state) => counts.set(state, (counts.get(state) ?? 0) + 1))
    tables.push(compared.comparison)
    difference ??= compared.difference
  }
  return { tables, difference, counts }
}

async function compare({ source, target, progress }: BothSides, table: MovedTable, count: (state: string) => void) {
  const [sourceSum, targetSum] = [new Sum(), new Sum()]
  const sources = sourceRows(source, table)
  let difference: MoveDifference | undefined
  const differs = (row: MovedRow, where: MoveDifference['table'] = table): void => {
    difference ??= { table: where, key: describePosition(table, positionOf(table, row)) }
  }
  const nextSource = (): MovedRow | undefined => {
    const { value } = sources.next()
    if (value === undefined) return undefined
    sourceSum.add(lineOf(table, value))
    return value
  }

  let expected = nextSource()
  for await (const row of targetRows(target, table, (done) => progress('verifying', table, done))) {
    targetSum.add(lineOf(table, row))
    const state = countedState(table, row)
    if (state !== undefined) count(state)
    while (expected !== undefined && comparePositions(positionOf(table, expected), positionOf(table, row)) < 0) {
      differs(expected)
      expected = nextSource()
    }
    const isThere =
      expected !== undefined && comparePositions(positionOf(table, expected), positionOf(table, row)) === 0
    if (expected === undefined || !isThere || lineOf(table, expected) !== lineOf(table, row)) differs(row)
    else if (row.forgotten === true) differs(row, 'event_key')
    if (isThere) expected = nextSource()
  }
  for (; expected !== undefined; expected = nextSource()) differs(expected)

  const comparison: TableComparison = {
    table,
    source: sourceSum.value(),
    target: targetSum.value(),
    equal: sourceSum.equals(targetSum),
  }
  return { comparison, difference }
}

function* sourceRows(source: Export, table: MovedTable): Generator<MovedRow, undefined> {
  let position = FROM_START
  for (;;) {
    const rows = source.read(table, position)
    const last = rows.at(-1)
    if (last === undefined) return undefined
    yield* rows
    position = positionOf(table, last)
  }
}

async function* targetRows(target: Import, table: MovedTable, onRead: (done: number) => void) {
  let position = FROM_START
  let done = 0
  for (;;) {
    onRead(done)
    const rows = await target.read(table, position)
    const last = rows.at(-1)
    if (last === undefined) return
    yield* rows
    position = positionOf(table, last)
    done += rows.length
  }
}

function countedState(table: MovedTable, { values }: MovedRow): string | undefined {
  if (table === 'delivery') return stateOf(values.state as StoredState)
  return table === 'task' ? `task:${values.status}` : undefined
}

/** The number and checksum of rows. */
export class Sum {
  readonly #hash = createHash('sha256')
  #rows = 0
  #checksum: string | undefined

  add(line: string): void {
    this.#hash.update(line)
    this.#rows++
  }

  value(): TableSum {
    this.#checksum ??= this.#hash.digest('hex')
    return { rows: this.#rows, checksum: this.#checksum }
  }

  equals(other: Sum): boolean {
    return this.value().rows === other.value().rows && this.value().checksum === other.value().checksum
  }
}

import widthOf from 'fast-string-truncated-width'
import { printable } from './output.ts'
import { type Cell, painted, stateCell, timeIn, type View } from './view.ts'

type Value = string | number | null | undefined

/** One column of a table: its heading, and what it shows of an item. */
export interface Column<Item> {
  readonly heading: string
  readonly cell: (item: Item, view: View) => Cell
  /** Text is cut first where a row is wider than the terminal. Ids, times and states are read or copied whole. */
  readonly shrinks?: true
  readonly isTime?: true
  readonly align?: 'right'
  /** Left out where ids or the main text would be cut otherwise. */
  readonly isSpare?: true
  /** The text that the table is read for. */
  readonly isMain?: true
}

export type Columns<Item> = readonly Column<Item>[]
type Of<Item, Shown = Value> = (item: Item) => Shown

/** Shown for an absent or empty value, so that each row has as many columns. */
const NOTHING: Cell = { text: '-', style: 'gray' }
const GAP = '  '
/** A column of text is cut below the first width only when no spare column is left, and below the second only with all others. */
const READABLE = 12
const NARROW = 6
/** The main text gets so much before spare columns do. */
const MAIN = 32

/** Text of any length, such as a type or an error. */
export const text = <Item>(heading: string, of: Of<Item>): Column<Item> => ({
  heading,
  cell: plain(of),
  shrinks: true,
})

/** A value that is of use only whole, such as a uid or a cursor. */
export const whole = <Item>(heading: string, of: Of<Item>): Column<Item> => ({ heading, cell: plain(of) })

export const count = <Item>(heading: string, of: Of<Item>): Column<Item> => ({
  heading,
  cell: plain(of),
  align: 'right',
})

/** A word for a state, in its colour. */
export const state = <Item>(heading: string, of: Of<Item, string | null | undefined>): Column<Item> => ({
  heading,
  cell: (item) => stateCell(of(item) ?? ''),
})

/** An RFC 3339 time, or another text in its place. */
export const time = <Item>(heading: string, of: Of<Item, string | null | undefined>): Column<Item> => ({
  heading,
  cell: (item, view) => ({ text: timeIn(view, of(item) ?? '') }),
  isTime: true,
})

/** A column that is the first to be left out on a narrow terminal. */
export const spare = <Item>(column: Column<Item>): Column<Item> => ({ ...column, isSpare: true })

/** The text that the table is read for, such as an error: it gets the room of spare columns. */
export const main = <Item>(column: Column<Item>): Column<Item> => ({ ...column, isMain: true })

const plain =
  <Item>(of: Of<Item>) =>
  (item: Item): Cell => ({ text: String(of(item) ?? '') })

/**
 * Items in rows under the headings, aligned by what a terminal shows of them. On a terminal no line is wider than it: long text is
 * cut with `…`. Elsewhere nothing is cut, no cell is empty, and no cell holds two spaces in a row.
 */
export function table<Item>(view: View, columns: Columns<Item>, items: readonly Item[]): string {
  const isUtcTold = view.utc && view.columns !== undefined
  const headings = columns.map(
    ({ heading, isTime }): Cell => ({ text: isTime && isUtcTold ? `${heading} (UTC)` : heading, style: 'bold' }),
  )
  const rows = [headings, ...items.map((item) => columns.map((column) => harmless(column.cell(item, view))))]
  const layout =
    view.columns === undefined ? { rows, columns, widths: widthsOf(rows) } : fitted(rows, columns, view.columns)
  return layout.rows.map((row) => lineOf(view, row, layout)).join('')
}

function lineOf<Item>(view: View, row: readonly Cell[], { columns, widths }: Layout<Item>): string {
  const parts = row.map((cell, at) => aligned(view, cell, widths[at] ?? 0, columns[at]?.align === 'right'))
  return `${parts
    .filter((_, at) => widths[at] !== 0)
    .join(GAP)
    .trimEnd()}\n`
}

type Rows = readonly (readonly Cell[])[]

const widthsOf = ([headings = [], ...rows]: Rows): readonly number[] =>
  headings.map((heading, at) =>
    rows.reduce((most, row) => Math.max(most, width(row[at]?.text ?? '')), width(heading.text)),
  )

function harmless({ text: raw, ...cell }: Cell): Cell {
  const shown = printable(raw).replace(/ {2,}/g, ' ')
  return shown === '' ? NOTHING : { ...cell, text: shown }
}

const width = (shown: string): number => widthOf(shown).width

function aligned(view: View, { text: shown, style }: Cell, columnWidth: number, right: boolean): string {
  const cut = cutTo(shown, columnWidth)
  const pad = ' '.repeat(Math.max(0, columnWidth - width(cut)))
  const coloured = style === undefined ? cut : painted(view, style, cut)
  return right ? pad + coloured : coloured + pad
}

/** The text, or as much of it as fits with a `…`. */
export function cutTo(shown: string, columns: number): string {
  const { index, ellipsed } = widthOf(shown, { limit: columns, ellipsis: '…', ellipsisWidth: 1 })
  return ellipsed ? `${shown.slice(0, index)}…` : shown.slice(0, index)
}

interface Layout<Item> {
  readonly rows: Rows
  readonly columns: Columns<Item>
  readonly widths: readonly number[]
}

/**
 * A layout that fits. Times lose their year, and today's their date; then columns of text give, the widest first; then spare columns
 * are left out, the last first; then text gives more; then all columns give. On a terminal that is narrower still, the last columns are left out.
 */
function fitted<Item>(given: Rows, columns: Columns<Item>, terminal: number): Layout<Item> {
  const room = terminal - GAP.length * (columns.length - 1)
  if (overOf(widthsOf(given), room) <= 0) return { rows: given, columns, widths: widthsOf(given) }
  const rows = shorterTimes(given, columns)
  const headings = rows[0] ?? []
  const widths = [...widthsOf(rows)]
  const shaveText = (floor: number, least = 0): void =>
    shave(widths, room, (at) =>
      columns[at]?.shrinks ? Math.max(floor, Math.min(least, width(headings[at]?.text ?? ''))) : Infinity,
    )
  shave(widths, room, (at) => {
    const column = columns[at]
    return column?.shrinks ? Math.max(column.isMain ? MAIN : READABLE, width(headings[at]?.text ?? '')) : Infinity
  })
  const spared = columns.findLastIndex(({ isSpare }) => isSpare)
  if (overOf(widths, room) > 0 && spared >= 0)
    return fitted(
      given.map((row) => row.toSpliced(spared, 1)),
      columns.toSpliced(spared, 1),
      terminal,
    )
  shaveText(READABLE, Infinity)
  shaveText(NARROW, Infinity)
  shaveText(NARROW)
  shave(widths, room, () => NARROW)
  return { rows, columns, widths: leaveOut(widths, terminal) }
}

const overOf = (widths: readonly number[], room: number): number => widths.reduce((sum, each) => sum + each, -room)

const YEAR = /^\d{4}-(?=\d\d-\d\d )/
const DATE = /^\d{4}-\d\d-\d\d (?=\d\d:)/

function shorterTimes<Item>([headings = [], ...rows]: Rows, columns: Columns<Item>): Rows {
  const today = [timeIn({ columns: 1, utc: false }), timeIn({ columns: 1, utc: true })].map((each) => each.slice(0, 11))
  const startOf = columns.map(({ isTime }, at) => {
    const times = rows.map((row) => row[at]?.text ?? '')
    const isShared = (start: RegExp): boolean =>
      new Set(times.flatMap((each) => start.exec(each)?.[0] ?? [])).size === 1
    if (isTime !== true || !isShared(YEAR)) return undefined
    return isShared(DATE) && today.includes(times.find((each) => DATE.test(each))?.slice(0, 11) ?? '') ? DATE : YEAR
  })
  const shorter = (cell: Cell, start: RegExp | undefined): Cell =>
    start === undefined ? cell : { ...cell, text: cell.text.replace(start, '') }
  return [headings, ...rows.map((row) => row.map((cell, at) => shorter(cell, startOf[at])))]
}

/** Takes from the widest that is above its floor until all fit, or until none is. */
function shave(widths: number[], room: number, floorOf: (at: number) => number): void {
  for (let over = overOf(widths, room); over > 0; over--) {
    let widest = -1
    for (const [at, each] of widths.entries()) if (each > floorOf(at) && each > (widths[widest] ?? 0)) widest = at
    if (widest < 0) return
    widths[widest] = (widths[widest] ?? 0) - 1
  }
}

function leaveOut(widths: readonly number[], terminal: number): readonly number[] {
  let used = -GAP.length
  return widths.map((each) => {
    used += each + GAP.length
    return used <= terminal ? each : 0
  })
}

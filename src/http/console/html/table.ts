import { type Html, html, NOTHING, own, when } from './html.ts'
import { counted } from './words.ts'

/** Where a cell goes on a phone, on which a row is a card: in its first line (left by default, or at its end), over the whole width, or nowhere. */
type OnPhone = 'start' | 'end' | 'wide' | 'gone'

export interface Column<Row> {
  readonly title: string
  /** The title is only for those who do not see the table. */
  readonly isTitleHidden?: true
  readonly cell: (row: Row) => Html
  readonly kind?: 'number' | 'name' | 'cut' | 'mono' | 'short' | 'half' | 'third' | 'quarter'
  readonly onPhone?: OnPhone
}

export interface Table<Row> {
  /** What the table lists, for those who do not see it. */
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly idOf?: (row: Row) => string
  /** Over the rows, and under them. */
  readonly head?: Html
  readonly foot?: Html
}

const CLASSES = {
  number: 'num',
  name: 'type',
  cut: 'cut',
  mono: 'mono muted nowrap',
  short: 'nowrap',
  half: 'half',
  third: 'third',
  quarter: 'quarter',
}
const ON_PHONE = { start: '', end: 'end', wide: 'wide', gone: 'off' }

/** A table that is a list of cards on a phone. The roles in it keep it a table for screen readers there. */
export function table<Row>({ caption, columns, rows, idOf, head, foot }: Table<Row>): Html {
  return html`<div class="card">${head ?? NOTHING}<table class="stackable" role="table"><caption class="hide">${own(caption)}</caption>
<thead role="rowgroup"><tr role="row">${columns.map(({ title, isTitleHidden, kind }) => html`<th role="columnheader" scope="col"${when(kind === 'number', () => NUMBER)}>${isTitleHidden ? html`<span class="hide">${own(title)}</span>` : own(title)}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows.map(
    (row) =>
      html`<tr role="row"${idOf === undefined ? NOTHING : html` id="${own(idOf(row))}"`}>${columns.map((column) => html`<td role="cell" class="${own(classesOf(column))}">${column.cell(row)}</td>`)}</tr>`,
  )}</tbody></table>${foot ?? NOTHING}</div>`
}

const NUMBER = html` class="num"`

const classesOf = <Row>({ kind, onPhone = 'start' }: Column<Row>): string =>
  [kind === undefined ? '' : CLASSES[kind], ON_PHONE[onPhone]].filter((each) => each !== '').join(' ')

/** A part of a list that the service has as a whole. */
export interface Slice<Item> {
  readonly items: readonly Item[]
  /** The place of the first one, from 0. */
  readonly from: number
  readonly size: number
  readonly count: number
}

/** From the place that a query names; past the end, the last ones. */
export function sliceOf<Item>(all: readonly Item[], query: URLSearchParams, size: number): Slice<Item> {
  const asked = Math.max(0, Math.trunc(Number(query.get('from') ?? 0)) || 0)
  const from = asked < all.length ? asked : Math.max(0, Math.floor((all.length - 1) / size) * size)
  return { items: all.slice(from, from + size), from, size, count: all.length }
}

/** The line under such a part, and the ways to the parts before and after it. */
export function slicePager({ items, from, size, count }: Slice<unknown>, noun: string, path: string): Html {
  const link = (start: number, rel: string, words: string): Html =>
    html` <a class="btn" rel="${own(rel)}" href="${own(`${path}?from=${start}`)}">${own(words)}</a>`
  const shown =
    items.length === count ? counted(count, noun) : `${from + 1} to ${from + items.length} of ${counted(count, noun)}`
  return html`<div class="foot"><span>${own(shown)}</span>${when(items.length < count, () => html`<span class="bar">${when(from > 0, () => link(Math.max(0, from - size), 'prev', 'Previous'))}${when(from + size < count, () => link(from + size, 'next', 'Next'))}</span>`)}</div>`
}

/** The line under a list: what it shows, and the way to older items. */
export const pager = (shown: Html, olderUrl: string | undefined): Html =>
  html`<div class="foot"><span>${shown}</span>${olderUrl === undefined ? NOTHING : html`<a class="btn" rel="next" href="${own(olderUrl)}">Older</a>`}</div>`

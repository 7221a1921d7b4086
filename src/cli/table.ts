/** Columns of one cell; past it the rest is cut off. */
const MAX_CELL_WIDTH = 72

/** Rows under their headings, aligned; nothing that a sender wrote can move the cursor or colour the terminal. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(cell))
  const widths = headings.map((heading, at) => Math.max(heading.length, ...cells.map((row) => row[at]?.length ?? 0)))
  return [headings, ...cells]
    .map((row) => `${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
}

/** Names and values, one a line, the values aligned. Those without a value are left out. */
export function fields(entries: readonly (readonly [name: string, value: string | undefined])[]): string {
  const given = entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined && entry[1] !== '')
  const width = Math.max(0, ...given.map(([name]) => name.length))
  return given.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}\n`).join('')
}

/** An RFC 3339 time to the second, in UTC. */
export function shortTime(time: string): string {
  const ms = Date.parse(time)
  return Number.isNaN(ms) ? time : new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

export const shortDuration = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`

/** One line of what is safe to show. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()

function cell(text: string): string {
  const line = printable(text)
  return line.length <= MAX_CELL_WIDTH ? line : `${line.slice(0, MAX_CELL_WIDTH - 1)}…`
}

import { styleText } from 'node:util'

/** How a command shows things on a stream. */
export interface View {
  readonly stream: NodeJS.WritableStream
  /** The width of the terminal; undefined where there is none: then nothing is cut, and times are RFC 3339 in UTC. */
  readonly columns: number | undefined
  /** Times on the terminal are UTC, not local. */
  readonly utc: boolean
}

export type Style = Parameters<typeof styleText>[0]

/** A value of a table, or of a list of fields. Text of others may hold anything: it is made harmless where it is shown. */
export interface Cell {
  readonly text: string
  readonly style?: Style
}

/** The width of a terminal that does not tell its width. */
const USUAL_COLUMNS = 80

export const viewFlags = {
  utc: { help: 'times in UTC, not local; without a terminal they always are' },
} as const

export function viewOf(stream: NodeJS.WritableStream, { utc = false }: { readonly utc?: boolean } = {}): View {
  const { isTTY, columns } = stream as Partial<NodeJS.WriteStream>
  return { stream, utc, columns: isTTY === true ? columns || USUAL_COLUMNS : undefined }
}

/** The text in a colour, unless the stream is no terminal or its user wants none: NO_COLOR, FORCE_COLOR, TERM=dumb. */
export const painted = ({ stream }: Pick<View, 'stream'>, style: Style, text: string): string =>
  text === '' ? '' : styleText(style, text, { stream })

/** A time to the second: local on a terminal, UTC with `--utc`, RFC 3339 elsewhere. Another text stays as it is. */
export function timeIn({ columns, utc }: Pick<View, 'columns' | 'utc'>, time = new Date().toISOString()): string {
  const ms = Date.parse(time)
  if (Number.isNaN(ms)) return time
  const date = new Date(ms)
  if (columns === undefined) return `${date.toISOString().slice(0, 19)}Z`
  const shown = utc ? date : new Date(ms - date.getTimezoneOffset() * 60_000)
  return `${shown.toISOString().slice(0, 19).replace('T', ' ')}${utc ? 'Z' : ''}`
}

const STYLES: readonly (readonly [Style, readonly string[]])[] = [
  ['green', ['succeeded', 'accepted', 'completed', 'active', 'done', 'ok', 'well', 'yes']],
  ['yellow', ['pending', 'running', 'failing', 'submitting', 'retry', 'paused', 'half_open', 'warning', 'held']],
  [
    'red',
    [
      'dead',
      'failed',
      'rejected',
      'timed_out',
      'process_lost',
      'expired',
      'conflict',
      'quarantined',
      'open',
      'silent',
      'missing',
    ],
  ],
  ['red', ['error', 'critical', 'refused']],
  ['gray', ['discarded', 'unhandled', 'superseded', 'cancelled', 'none', 'off', 'closed', 'no']],
]
const STYLE_OF = new Map(STYLES.flatMap(([style, words]) => words.map((word) => [word, style] as const)))

/** A word for a state, in its colour. The colour never says more than the word. */
export function stateCell(word: string): Cell {
  const style = STYLE_OF.get(word)
  return style === undefined ? { text: word } : { text: word, style }
}

const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
]

/** A duration in its two largest units, for headlines: `3 d 4 h`, `12 min`, `8 s`. */
export function span(ms: number): string {
  const at = UNITS.findIndex(([, unitMs]) => ms >= unitMs)
  const [unit, unitMs] = UNITS[at] ?? ['s', 1_000]
  const whole = Math.max(0, Math.floor(ms / unitMs))
  const [next, nextMs] = (at < 0 ? undefined : UNITS[at + 1]) ?? ['', Infinity]
  const rest = Math.floor((ms - whole * unitMs) / nextMs)
  return rest > 0 ? `${whole} ${unit} ${rest} ${next}` : `${whole} ${unit}`
}

const SIZES = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** A size to three digits, such as `4.25 GiB`. */
export function sizeOf(bytes: number): string {
  const at = Math.min(SIZES.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  return `${at === 0 ? bytes : Number((bytes / 1024 ** at).toPrecision(3))} ${SIZES[at]}`
}

export const ago = (time: string, nowMs = Date.now()): string => `${span(nowMs - Date.parse(time))} ago`

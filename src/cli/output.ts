import { type CliIo, CommandError, EXIT_USAGE } from './command.ts'

/** Characters of one cell; the rest of a longer text is cut off. */
const MAX_CELL_WIDTH = 72

/** Resolves when the stream has accepted the chunk. */
export const write = (stream: NodeJS.WritableStream, chunk: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => stream.write(chunk, () => resolve()))

export const writeJson = (stream: NodeJS.WritableStream, value: unknown): Promise<void> =>
  write(stream, `${JSON.stringify(value, null, 2)}\n`)

/** Writes an answer as JSON with `--json`, otherwise as the text that `describe` makes from it. */
export const writeAnswer = <Answer>(
  { out }: CliIo,
  answer: Answer,
  json: boolean,
  describe: (answer: Answer) => string,
): Promise<void> => (json ? writeJson(out, answer) : write(out, describe(answer)))

/** Rows under their headings, aligned. Removes control characters, so that a sender's text cannot control the terminal. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(cell))
  const widths = headings.map((heading, at) => Math.max(heading.length, ...cells.map((row) => row[at]?.length ?? 0)))
  return [headings, ...cells]
    .map((row) => `${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
}

/** Names and values, one pair per line, the values aligned. Leaves out names without a value. */
export function fields(entries: readonly (readonly [name: string, value: string | undefined])[]): string {
  const present = entries.filter(
    (entry): entry is readonly [string, string] => entry[1] !== undefined && entry[1] !== '',
  )
  const width = Math.max(0, ...present.map(([name]) => name.length))
  return present.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}\n`).join('')
}

/** An RFC 3339 time to the second, in UTC. */
export function shortTime(time: string): string {
  const ms = Date.parse(time)
  return Number.isNaN(ms) ? time : new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

export const shortDuration = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`

/** The text in one line, without characters that could control the terminal. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()

function cell(text: string): string {
  const line = printable(text)
  return line.length <= MAX_CELL_WIDTH ? line : `${line.slice(0, MAX_CELL_WIDTH - 1)}…`
}

interface Question {
  readonly text: string
  /** The message if the operator does not agree: what was not done. */
  readonly otherwise: string
  /** Without a terminal, completes the sentence that tells the operator to use `--yes`: for what, or when. */
  readonly yes: string
}

/** Asks the operator at the terminal. Throws `CommandError` for any answer but yes, for the end of the input, and without a terminal. */
export async function confirm({ in: input, err, interactive }: CliIo, { text, otherwise, yes }: Question) {
  if (!interactive)
    throw new CommandError(`${otherwise}: there is no terminal to ask on, so say --yes ${yes}`, EXIT_USAGE)
  await write(err, `${text} [y/N] `)
  if (!/^\s*y(?:es)?\s*$/i.test(await firstLine(input))) throw new CommandError(otherwise)
}

async function firstLine(input: CliIo['in']): Promise<string> {
  let text = ''
  for await (const chunk of input) {
    text += chunk.toString()
    if (text.includes('\n')) break
  }
  return text.split('\n')[0] ?? ''
}

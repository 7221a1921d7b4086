import { type CliIo, CommandError, EXIT_USAGE, jsonFlag } from './command.ts'
import { wrapped } from './help.ts'
import { type Cell, painted, type View, viewFlags, viewOf } from './view.ts'

/** Resolves when the stream has accepted the chunk. */
export const write = (stream: NodeJS.WritableStream, chunk: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => stream.write(chunk, () => resolve()))

export const writeJson = (stream: NodeJS.WritableStream, value: unknown): Promise<void> =>
  write(stream, `${JSON.stringify(value, null, 2)}\n`)

/** Options that say how an answer is shown. */
export const shownFlags = { ...viewFlags, json: jsonFlag } as const

export interface Shown {
  readonly json: boolean
  readonly utc?: boolean
}

/** Writes an answer as JSON with `--json`, otherwise as the text that `describe` makes from it. */
export const writeAnswer = <Answer>(
  { out }: CliIo,
  answer: Answer,
  { json, utc = false }: Shown,
  describe: (answer: Answer, view: View) => string,
): Promise<void> => (json ? writeJson(out, answer) : write(out, describe(answer, viewOf(out, { utc }))))

/** Names and values, one pair after the other, the values aligned, and no line wider than the terminal. Leaves out names without a value. */
export function fields(
  view: View,
  entries: readonly (readonly [name: string, value: string | Cell | undefined])[],
): string {
  const present = entries.flatMap(([name, value]) => {
    const { text, style }: Cell = typeof value === 'object' ? value : { text: value ?? '' }
    const shown = printable(text)
    return shown === '' ? [] : [{ name, shown, style }]
  })
  const width = Math.max(0, ...present.map(({ name }) => name.length))
  const room = (view.columns ?? Infinity) - width - 2
  return present
    .flatMap(({ name, shown, style }) =>
      wrapped(shown, room).map((line, at) => {
        const value = style === undefined ? line : painted(view, style, line)
        return `${(at === 0 ? name : '').padEnd(width)}  ${value}\n`
      }),
    )
    .join('')
}

export const shortDuration = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`

/** The text in one line, without characters that could control the terminal. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()

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

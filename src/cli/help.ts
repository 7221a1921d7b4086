import { type Command, type Flag, withValue } from './command.ts'
import { EXIT_CODES } from './exit-codes.ts'
import type { View } from './view.ts'

const INDENT = '  '
/** Text beside a term is wrapped only where this many columns are left for it. */
const MIN_TEXT_WIDTH = 30

/** All commands, one line each. */
export const overview = (commands: readonly Command[], view: View): string =>
  [
    'Holdfast, a durable webhook inbox.\n',
    'Usage: holdfast [command] [options]\n',
    'Commands:',
    ...aligned(view, [
      ...commands.flatMap(({ name, summary }, at) => [
        ...apart(commands[at - 1]?.name, name),
        [name, summary] as const,
      ]),
      NO_ENTRY,
      ['help [command]', 'Tells more on one command; help exit-codes on what a command exits with.'],
      ['--version', 'Tells the version.'],
    ]),
    '',
    'It is configured by environment variables, and by a file .env where there is one: see .env.example.\n',
  ].join('\n')

const NO_ENTRY = ['', ''] as const

/** Commands of one group stand together, and so do those that are in none. */
function apart(before: string | undefined, name: string) {
  const [first, second] = name.split(' ')
  const [firstBefore, secondBefore] = before?.split(' ') ?? [first]
  const isOneGroup = firstBefore === first || (second === undefined && secondBefore === undefined)
  return before === undefined || isOneGroup ? [] : [NO_ENTRY]
}

export const commandHelp = ({ name, usage, summary, flags }: Command, view: View): string =>
  [
    `Usage: holdfast ${name} ${usage}`.trimEnd(),
    '',
    ...wrapped(summary, (view.columns ?? Infinity) - INDENT.length).map((line) => `${INDENT}${line}`),
    '',
    ...aligned(
      view,
      Object.entries<Flag>(flags).map(([flag, { value, help }]) => [withValue(flag, value), help]),
    ),
    '',
  ].join('\n')

/** For a command that was not understood. */
export const usageLine = ({ name, usage }: Command): string =>
  `Usage: ${`holdfast ${name} ${usage}`.trimEnd()}; --help tells more\n`

export const groupHelp = (group: readonly Command[], view: View): string =>
  [
    'Usage:',
    ...aligned(
      view,
      group.map(({ name, usage, summary }) => [`holdfast ${name} ${usage}`, summary]),
    ),
    '',
  ].join('\n')

export const exitCodesHelp = (view: View): string =>
  [
    'Exit codes of all commands:',
    ...aligned(
      view,
      EXIT_CODES.map(([code, meaning]) => [String(code), meaning]),
    ),
    '',
  ].join('\n')

function aligned({ columns }: View, entries: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(0, ...entries.map(([term]) => term.length))
  const beside = (columns ?? Infinity) - INDENT.length - width - INDENT.length
  return entries.flatMap(([term, text]) => {
    if (term === '') return ['']
    return beside >= MIN_TEXT_WIDTH
      ? wrapped(text, beside).map((line, at) => `${INDENT}${(at === 0 ? term : '').padEnd(width)}${INDENT}${line}`)
      : [`${INDENT}${term}`, ...wrapped(text, (columns ?? Infinity) - 6).map((line) => `${INDENT.repeat(3)}${line}`)]
  })
}

/** The text in lines of at most `width` columns, broken between words. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}

import type { Command } from './command.ts'

const INDENT = '  '

/** All commands, one line each. */
export const overview = (commands: readonly Command[]): string =>
  [
    'Holdfast, a durable webhook inbox.\n',
    'Usage: holdfast [command] [options]\n',
    'Commands:',
    ...aligned([
      ...commands.map(({ name, operands, summary }): [string, string] => [`${name} ${operands}`.trim(), summary]),
      ['help [command]', 'Tells more on one command.'],
      ['--version', 'Tells the version.'],
    ]),
    '',
    'It is configured by environment variables, and by a file .env where there is one: see .env.example.\n',
  ].join('\n')

export const commandHelp = ({ name, operands, summary, options }: Command): string =>
  [`Usage: holdfast ${name} ${operands}`.trimEnd(), '', `${INDENT}${summary}`, '', ...aligned(options), ''].join('\n')

export const groupHelp = (commands: readonly Command[]): string =>
  [
    'Usage:',
    ...aligned(commands.map(({ name, operands, summary }) => [`holdfast ${name} ${operands}`, summary])),
    '',
  ].join('\n')

function aligned(entries: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(0, ...entries.map(([term]) => term.length))
  return entries.map(([term, text]) => `${INDENT}${term.padEnd(width)}  ${text}`)
}

import type { HandlerJson, SourceJson } from '../http/schemas/configuration.ts'
import { type CliIo, type Command, command, EXIT_OK, type Flag, UsageError } from './command.ts'
import { bashScript } from './completion-bash.ts'
import { fishScript } from './completion-fish.ts'
import { zshScript } from './completion-zsh.ts'
import { withOps } from './ops-client.ts'
import { printable, write } from './output.ts'

/** What a shell may ask for while the operator types: the names that the running service has. */
export const NAMES = ['source', 'handler'] as const
type Names = (typeof NAMES)[number]

/** The operator waits at the keyboard. */
const TIMEOUT_MS = 1_000

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const
type Shell = keyof typeof SHELLS

/** What can follow on a command line, in a form that every shell's script is made from. */
export interface Completions {
  /** The first words, each with what it does; of a group, all commands. */
  readonly first: readonly Word[]
  /** First word of a group → its second words. */
  readonly groups: ReadonlyMap<string, readonly Word[]>
  readonly commands: readonly CommandCompletions[]
}

export interface Word {
  readonly word: string
  readonly help: string
}

export interface CommandCompletions {
  readonly name: string
  readonly flags: readonly FlagCompletions[]
  /** What the first operand is, if it can be completed. */
  readonly operand: Names | readonly string[] | undefined
}

export interface FlagCompletions extends Word {
  /** What its value may be: words, names of the service, or a file. Undefined: it takes no value. */
  readonly value: Names | readonly string[] | 'file' | 'text' | undefined
}

/** `commands`: all of them, which are not known yet when this is called. */
export const completionOf = (commands: () => readonly Command[]): Command =>
  command({
    name: 'completion',
    summary: 'Writes a script that completes commands, options and names in your shell.',
    usage: `${Object.keys(SHELLS).join('|')}`,
    operands: ['shell', 'field?'],
    flags: {},
    run: async ({ operands: [shell, field] }, io) => {
      if (shell === 'names' && isNames(field)) return writeNames(io, field)
      if (!isShell(shell) || field !== undefined)
        throw new UsageError(`the shell is one of ${Object.keys(SHELLS).join(', ')}`)
      await write(io.out, SHELLS[shell](completionsOf(commands())))
      return EXIT_OK
    },
  })

const isShell = (word: string): word is Shell => Object.hasOwn(SHELLS, word)
const isNames = (word: string | undefined): word is Names => NAMES.some((name) => name === word)

/** For the scripts: one name a line. Says nothing where the service does not answer at once: the shell then completes nothing. */
async function writeNames(io: CliIo, field: Names): Promise<number> {
  const path = `/v1/${field}s`
  const answer = await withOps(io, (ops) => ops.get<{ items: (SourceJson | HandlerJson)[] }>(path), {
    timeoutMs: TIMEOUT_MS,
  }).catch(() => undefined)
  const names = (answer?.items ?? []).map(({ name }) => printable(name))
  await write(io.out, names.map((name) => `${name}\n`).join(''))
  return EXIT_OK
}

function completionsOf(commands: readonly Command[]): Completions {
  const groups = new Map<string, Word[]>()
  for (const { name, summary } of commands) {
    const [first = '', second] = name.split(' ')
    if (second !== undefined) groups.set(first, [...(groups.get(first) ?? []), { word: second, help: summary }])
  }
  const single = commands
    .filter(({ name }) => !name.includes(' '))
    .map(({ name, summary }): Word => ({ word: name, help: summary }))
  const named = [...groups].map(
    ([word, seconds]): Word => ({ word, help: seconds.map((second) => second.word).join(', ') }),
  )
  const groupsOnly = named.filter(({ word }) => single.every((each) => each.word !== word))
  return {
    first: [...single, ...groupsOnly, { word: 'help', help: 'Tells more on one command.' }],
    groups,
    commands: commands.map(({ name, flags, operands }) => ({
      name,
      flags: [
        ...Object.entries(flags).map(
          ([flag, each]): FlagCompletions => ({
            word: `--${flag}`,
            help: each.help,
            value: valueOf(flag, each),
          }),
        ),
        { word: '--help', help: 'tell more on this command', value: undefined },
      ],
      operand: operandOf(name, operands[0]?.replace(/\?$/, '')),
    })),
  }
}

function valueOf(flag: string, { value, words }: Flag): FlagCompletions['value'] {
  if (value === undefined) return undefined
  if (words !== undefined) return words
  if (isNames(flag)) return flag
  return value === '<file>' ? 'file' : 'text'
}

function operandOf(name: string, operand: string | undefined): CommandCompletions['operand'] {
  if (name === 'completion') return Object.keys(SHELLS)
  if (operand === 'name') return NAMES.find((each) => name.startsWith(`${each}s `))
  return isNames(operand) ? operand : undefined
}

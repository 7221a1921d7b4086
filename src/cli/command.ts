import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import type { ReadConfig } from '../app/config.ts'
import type { Config } from '../domain/config.ts'
import { ConfigurationError, messageOf } from '../domain/errors.ts'
import type { Move } from '../domain/move.ts'

/** What the process lends to a command. Nothing in this room reads the environment or ends the process. */
export interface CliIo {
  readonly out: NodeJS.WritableStream
  readonly err: NodeJS.WritableStream
  /** Read by `--data -`, and where somebody is asked. */
  readonly in: AsyncIterable<Uint8Array | string>
  /** Whether a person sits at `in` and `err`, who can be asked. */
  readonly interactive: boolean
  readonly read: () => ReadConfig
  /** Stops when the process is told to end. */
  readonly move: Move
}

export const EXIT_OK = 0
/** The command was understood and did not succeed. */
export const EXIT_FAILED = 1
/** The command, or what was given to it, was not understood. */
export const EXIT_USAGE = 2
/** `tasks wait`: the task has ended, and is not completed. */
export const EXIT_NOT_COMPLETED = 3
/** sysexits.h: EX_CONFIG. */
export const EXIT_CONFIGURATION = 78
/** The time that was given is over: as timeout(1) has it. */
export const EXIT_TIMEOUT = 124

/** The configuration, if all is sound in it that this command reads. Throws `ConfigurationError`. */
export function configOf({ read }: Pick<CliIo, 'read'>, variables: RegExp): Config {
  const { config, faults } = read()
  const own = faults.filter((fault) => variables.test(fault))
  if (own.length > 0) throw new ConfigurationError(own)
  return config
}

/** One command, as its own help tells it. */
export interface Command {
  /** As it is typed: `events list`. */
  readonly name: string
  /** What follows the name, e.g. `<uid> [options]`. */
  readonly operands: string
  /** One line. */
  readonly summary: string
  /** Option and what it does, one line each. */
  readonly options: readonly (readonly [option: string, help: string])[]
  /** Resolves with the exit code. */
  readonly run: (args: readonly string[], io: CliIo) => Promise<number>
}

/** The arguments make no sense: exit 2, with the command's usage. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What was asked for could not be done: exit 1 unless it says otherwise, with this one sentence. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(message: string, exitCode = EXIT_FAILED) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Options and operands by name. Throws `UsageError` on an unknown option, and on too few or too many operands. */
export function parse<const Options extends ParseArgsOptionsConfig, const Operands extends readonly string[]>(
  args: readonly string[],
  options: Options,
  operands: Operands,
) {
  const parsed = parseOptions(args, options)
  const { positionals } = parsed
  const missing = operands[positionals.length]
  if (missing !== undefined) throw new UsageError(`<${missing}> is missing`)
  if (positionals.length > operands.length) throw new UsageError(`unexpected ${positionals[operands.length]}`)
  return { values: parsed.values, operands: positionals as { readonly [Index in keyof Operands]: string } }
}

function parseOptions<const Options extends ParseArgsOptionsConfig>(args: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError((messageOf(error).split('. ')[0] ?? '').replace(/\.$/, ''))
  }
}

/** A whole number of at least 1. */
export function parseCount(option: string, text: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= 1 && value <= max) return value
  throw new UsageError(`--${option} is a whole number from 1 to ${max}`)
}

/** One of these words; undefined where none was given. */
export function parseWord<const Word extends string>(
  option: string,
  text: string | undefined,
  words: readonly Word[],
): Word | undefined {
  const word = words.find((each) => each === text)
  if (word !== undefined || text === undefined) return word
  throw new UsageError(`--${option} is one of ${words.join(', ')}`)
}

/** Resolves when the stream has taken it. */
export const write = (stream: NodeJS.WritableStream, chunk: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => stream.write(chunk, () => resolve()))

export const writeJson = (stream: NodeJS.WritableStream, value: unknown): Promise<void> =>
  write(stream, `${JSON.stringify(value, null, 2)}\n`)

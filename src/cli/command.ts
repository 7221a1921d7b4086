import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { ReadConfig } from '../app/config.ts'
import type { Config } from '../domain/config.ts'
import { ConfigurationError, messageOf } from '../domain/errors.ts'
import { nearestName } from '../domain/nearest-name.ts'
import type { MakeBackup } from '../domain/store-backup.ts'
import type { Move } from '../domain/store-move.ts'

/** What a command gets from the process. No file in `cli` reads the environment or ends the process itself. */
export interface CliIo {
  readonly out: NodeJS.WritableStream
  readonly err: NodeJS.WritableStream
  /** The standard input: what `--data -` and the answer to a question are read from. */
  readonly in: AsyncIterable<Uint8Array | string>
  /** Whether the command can ask a person: `in` and `err` are a terminal. */
  readonly interactive: boolean
  /** Whether a person reads `out` on a terminal that shows colours. */
  readonly hasColours?: boolean
  /** From the call on, a signal to end the process aborts this and does not end the process; a second one does. */
  readonly endSignal: () => AbortSignal
  readonly read: () => ReadConfig
  /** Moves a store; the move stops when the process gets a signal to end. */
  readonly move: Move
  /** Makes a backup, which ends when the process gets a signal to end. */
  readonly backUp: MakeBackup
}

export const EXIT_OK = 0
/** The command was understood, but not done. */
export const EXIT_FAILED = 1
/** The command, its arguments or its input are not valid. */
export const EXIT_USAGE = 2
/** `tasks wait`: the task has ended with another status than `completed`. */
export const EXIT_NOT_COMPLETED = 3
/** There is no such event, replay, task, handler, source or registration. */
export const EXIT_NOT_FOUND = 4
/** No service answers at the address. `EX_UNAVAILABLE` of sysexits.h. */
export const EXIT_UNREACHABLE = 69
/** The service wants a token, or another one. `EX_NOPERM` of sysexits.h. */
export const EXIT_NOT_PERMITTED = 77
/** The operator's time limit, or that of a request, is over. The same exit code as timeout(1). */
export const EXIT_TIMEOUT = 124

/** The arguments are not valid: exit code 2, and a line that says where the help is. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The command failed: the operator sees the message, one sentence. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(message: string, exitCode = EXIT_FAILED) {
    super(message)
    this.exitCode = exitCode
  }
}

/**
 * The configuration. `variables` matches the faults of the variables that the command reads; throws `ConfigurationError` if there
 * is one. Faults of other variables do not matter.
 */
export function configOf({ read }: Pick<CliIo, 'read'>, variables: RegExp): Config {
  const { config, faults } = read()
  const own = faults.filter((fault) => variables.test(fault))
  if (own.length > 0) throw new ConfigurationError(own)
  return config
}

/** One option of a command: a switch, or with `value` an option that takes one. */
export interface Flag {
  readonly help: string
  /** The placeholder of the value in the help, such as `<name>`. */
  readonly value?: string
  readonly required?: true
  /** The only values that are accepted. */
  readonly words?: readonly string[]
  /** It may be given several times; its value is all of them. */
  readonly repeatable?: true
}

export const jsonFlag = { help: 'as JSON' } as const

/** An option that takes one of these words. Its help names all of them. */
export const oneOf = <const Word extends string>(value: string, words: readonly Word[]) =>
  ({ value, words, help: words.join(', ') }) as const

type FlagValue<Of extends Flag> = Of extends { repeatable: true }
  ? readonly string[] | undefined
  : Of extends { value: string }
    ?
        | (Of extends { words: readonly (infer Word)[] } ? Word : string)
        | (Of extends { required: true } ? never : undefined)
    : boolean
type FlagValues<Flags> = { readonly [Name in keyof Flags]: Flags[Name] extends Flag ? FlagValue<Flags[Name]> : never }
type OperandValues<Operands> = {
  readonly [At in keyof Operands]: Operands[At] extends `${string}?` ? string | undefined : string
}

interface ParsedArguments<Flags, Operands> {
  readonly flags: FlagValues<Flags>
  readonly operands: OperandValues<Operands>
}

interface Definition<Flags, Operands> {
  /** The words that the operator types: `events list`. */
  readonly name: string
  /** One line. */
  readonly summary: string
  /** Names of the positional arguments; an argument whose name ends in `?` is optional. */
  readonly operands: Operands
  /** By the name of the option, without its dashes. */
  readonly flags: Flags
  /** What follows the name in the help. Default: made from operands and flags. */
  readonly usage?: string
  /** Messages about the arguments hide URLs, which may hold a password. */
  readonly hidesUrls?: true
  /** Resolves with the exit code. */
  readonly run: (args: ParsedArguments<Flags, Operands>, io: CliIo) => Promise<number>
}

/** What `cli.ts` needs to find, explain and run a command. */
export interface Command {
  readonly name: string
  readonly usage: string
  readonly summary: string
  /** Names of the positional arguments; an argument whose name ends in `?` is optional. */
  readonly operands: readonly string[]
  /** By the name of the option, without its dashes. */
  readonly flags: Readonly<Record<string, Flag>>
  readonly run: (args: readonly string[], io: CliIo) => Promise<number>
}

/** Makes a command. Its help and the parsing of its arguments both follow from `flags` and `operands`. */
export function command<const Flags extends Readonly<Record<string, Flag>>, const Operands extends readonly string[]>({
  name,
  summary,
  operands,
  flags,
  usage,
  hidesUrls,
  run,
}: Definition<Flags, Operands>): Command {
  return {
    name,
    summary,
    usage: usage ?? usageOf(operands, flags),
    operands,
    flags,
    run: async (args, io) => run(parse(args, flags, operands, hidesUrls), io),
  }
}

export const withValue = (flag: string, value: string | undefined): string =>
  value === undefined ? `--${flag}` : `--${flag} ${value}`

function usageOf(operands: readonly string[], flags: Readonly<Record<string, Flag>>): string {
  const required = Object.entries(flags).filter(([, flag]) => flag.required)
  return [
    ...operands.map((operand) => `<${operand}>`),
    ...required.map(([flag, { value }]) => withValue(flag, value)),
    ...(Object.keys(flags).length > 0 ? ['[options]'] : []),
  ].join(' ')
}

/** Throws `UsageError` on an unknown option, a word that is not accepted, and too few or too many operands. */
function parse<Flags extends Readonly<Record<string, Flag>>, Operands extends readonly string[]>(
  args: readonly string[],
  flags: Flags,
  operands: Operands,
  hidesUrls = false,
): ParsedArguments<Flags, Operands> {
  try {
    const { values, positionals } = parseOptions(args, flags)
    const missing = operands.slice(positionals.length).find((operand) => !operand.endsWith('?'))
    if (missing !== undefined) throw new UsageError(`<${missing}> is missing`)
    if (positionals.length > operands.length) throw new UsageError(`unexpected ${positionals[operands.length]}`)
    // A variable of a script that is not set. As a part of a path it would ask for the whole list.
    const empty = positionals.findIndex((operand) => operand.trim() === '')
    if (empty >= 0) throw new UsageError(`<${operands[empty]?.replace('?', '')}> is empty`)
    const entries = Object.entries(flags).map(([name, flag]) => [name, checked(name, flag, values[name])])
    return {
      flags: Object.fromEntries(entries) as FlagValues<Flags>,
      operands: positionals as unknown as OperandValues<Operands>,
    }
  } catch (error) {
    const message = messageOf(error)
    throw new UsageError(hidesUrls ? message.replace(/\S*:\/\/\S*/g, 'a URL') : message)
  }
}

function parseOptions(args: readonly string[], flags: Readonly<Record<string, Flag>>) {
  const options = Object.entries(flags).map(
    ([name, { value, repeatable = false }]) =>
      [name, { type: value === undefined ? 'boolean' : 'string', multiple: repeatable }] as const,
  )
  try {
    return parseArgs({
      args: [...args],
      options: Object.fromEntries(options),
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    throw new UsageError(misread(error as NodeJS.ErrnoException, flags))
  }
}

/** What is wrong with an option, in our words. */
function misread({ code, message }: NodeJS.ErrnoException, flags: Readonly<Record<string, Flag>>): string {
  const option = /'(?:-\w, )?(?<option>-[^'\s=]*)/.exec(message)?.groups?.option ?? ''
  if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION')
    return `${option} ${flags[option.slice(2)]?.value === undefined ? 'takes no value' : 'needs a value'}`
  const known = Object.keys(flags).map((flag) => `--${flag}`)
  return `there is no option ${option}${didYouMean(option, known)}`
}

/** The end of a sentence about a word that is not known: the known word that is near to it, if there is one. */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = nearestName(word, known)
  return near === undefined ? '' : `; did you mean ${near}?`
}

function checked(name: string, { value: placeholder, required, words }: Flag, value: unknown) {
  if (placeholder === undefined) return value === true
  if (value === undefined && required) throw new UsageError(`--${name} is missing`)
  if (value === undefined || words === undefined || words.some((word) => word === value)) return value
  throw new UsageError(
    `--${name} is one of ${words.join(', ')}${didYouMean(typeof value === 'string' ? value : '', words)}`,
  )
}

/** A whole number of at least 1. */
export function parseCount(option: string, text: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= 1 && value <= max) return value
  throw new UsageError(`--${option} is a whole number from 1 to ${max}`)
}

/** The JSON object in a file, or on the standard input if the name is `-`. Throws `CommandError` with exit code 2 if there is none. */
export async function readObject(file: string, io: CliIo): Promise<Record<string, unknown>> {
  const text = file === '-' ? await readAll(io.in) : await readFile(file, 'utf8').catch(unreadable)
  const name = file === '-' ? 'the standard input' : file
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new CommandError(`${name} is not JSON`, EXIT_USAGE)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new CommandError(`${name} holds no JSON object`, EXIT_USAGE)
}

function unreadable(error: unknown): never {
  throw new CommandError(messageOf(error), EXIT_USAGE)
}

async function readAll(stream: CliIo['in']): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

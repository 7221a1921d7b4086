import { ConfigurationError, EXIT_CONFIGURATION, messageOf } from '../domain/errors.ts'
import { VERSION } from '../domain/version.ts'
import { type CliIo, type Command, CommandError, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from './command.ts'
import { deadList, deadReplay } from './dead.ts'
import { eventsExport, eventsList, eventsReplay, eventsShow } from './events.ts'
import { init } from './init.ts'
import { listen } from './listen.ts'
import { migrate } from './migrate.ts'
import { printable, write } from './output.ts'
import {
  registrationsCreate,
  registrationsDelete,
  registrationsEnsure,
  registrationsList,
  registrationsUpdate,
} from './registrations.ts'
import { reload } from './reload.ts'
import { retentionResume, retentionShow } from './retention.ts'
import { send } from './send.ts'
import { tasksCancel, tasksList, tasksPoll, tasksShow, tasksSubmit, tasksTrack, tasksWait } from './tasks.ts'

/** `main.ts` runs `serve`, `dev` and `check` itself. Here they only have a help text, and refuse wrong arguments. */
const runByMain = async (args: readonly string[]): Promise<number> => {
  throw new UsageError(`unexpected ${args.join(' ')}`)
}

const serve: Command = {
  name: 'serve',
  usage: '',
  summary: 'Runs the service; the default.',
  options: [],
  run: runByMain,
}

const dev: Command = {
  name: 'dev',
  usage: '',
  summary: 'Runs the service, and reloads handlers and providers when their files change.',
  options: [],
  run: runByMain,
}

const check: Command = {
  name: 'check',
  usage: '[options]',
  summary: 'Checks configuration and modules; exit code 78 if the service could not start.',
  options: [['--json', 'the faults as JSON']],
  run: runByMain,
}

const commands: readonly Command[] = [
  init,
  serve,
  dev,
  check,
  send,
  listen,
  eventsList,
  eventsShow,
  eventsExport,
  eventsReplay,
  deadList,
  deadReplay,
  tasksSubmit,
  tasksTrack,
  tasksList,
  tasksShow,
  tasksWait,
  tasksPoll,
  tasksCancel,
  registrationsList,
  registrationsEnsure,
  registrationsCreate,
  registrationsUpdate,
  registrationsDelete,
  retentionShow,
  retentionResume,
  reload,
  migrate,
]

/**
 * Runs one command of `holdfast` and resolves with its exit code: see the constants in `command.ts`, and docs/operating.md.
 * Never rejects: writes an error as one line to `err`, never as a stack trace.
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  // The program that reads the output may end early (`| head`), which is not an error of the command.
  const ignore = (): void => {}
  io.out.on('error', ignore)
  try {
    return await run(argv, io)
  } finally {
    io.out.off('error', ignore)
  }
}

async function run(argv: readonly string[], io: CliIo): Promise<number> {
  const [first] = argv
  if (first === '--version' || first === '-v' || first === 'version') {
    await write(io.out, `holdfast ${VERSION}\n`)
    return EXIT_OK
  }
  if (first === undefined || first === 'help' || isHelp(first)) return help(argv.slice(1), io)

  const found = find(argv)
  if (found === undefined) return misunderstood(argv, io)
  const { command, args } = found
  if (optionsOf(args).some(isHelp)) {
    await write(io.out, commandHelp(command))
    return EXIT_OK
  }
  try {
    return await command.run(args, io)
  } catch (error) {
    await write(io.err, `holdfast ${command.name}: ${printable(messageOf(error))}\n`)
    if (error instanceof UsageError) await write(io.err, `\n${commandHelp(command)}`)
    return exitCodeOf(error)
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_USAGE
  if (error instanceof ConfigurationError) return EXIT_CONFIGURATION
  return error instanceof CommandError ? error.exitCode : EXIT_FAILED
}

const isHelp = (arg: string): boolean => arg === '--help' || arg === '-h'

/** The arguments before `--`. */
const optionsOf = (args: readonly string[]): readonly string[] =>
  args.includes('--') ? args.slice(0, args.indexOf('--')) : args

function find(argv: readonly string[]): { command: Command; args: readonly string[] } | undefined {
  for (const words of [2, 1]) {
    const command = commands.find(({ name }) => name === argv.slice(0, words).join(' '))
    if (command !== undefined) return { command, args: argv.slice(words) }
  }
  return undefined
}

async function help(topic: readonly string[], io: CliIo): Promise<number> {
  if (topic.length === 0) {
    await write(io.out, overview(commands))
    return EXIT_OK
  }
  const text = helpOn(topic)
  if (text === undefined) return misunderstood(topic, io)
  await write(io.out, text)
  return EXIT_OK
}

/** Help on a command, or on all commands of a group. */
function helpOn(topic: readonly string[]): string | undefined {
  const found = find(topic)
  if (found !== undefined) return commandHelp(found.command)
  const group = commands.filter(({ name }) => name.startsWith(`${topic[0]} `))
  return group.length > 0 ? groupHelp(group) : undefined
}

async function misunderstood(argv: readonly string[], io: CliIo): Promise<number> {
  const group = commands.filter(({ name }) => name.startsWith(`${argv[0]} `))
  if (group.length > 0 && (argv[1] === undefined || isHelp(argv[1]))) {
    await write(argv[1] === undefined ? io.err : io.out, groupHelp(group))
    return argv[1] === undefined ? EXIT_USAGE : EXIT_OK
  }
  const words = group.length > 0 ? argv.slice(0, 2) : argv.slice(0, 1)
  await write(io.err, `holdfast: there is no command ${printable(words.join(' '))}\n\n`)
  await write(io.err, group.length > 0 ? groupHelp(group) : overview(commands))
  return EXIT_USAGE
}

const INDENT = '  '

/** All commands, one line each. */
const overview = (all: readonly Command[]): string =>
  [
    'Holdfast, a durable webhook inbox.\n',
    'Usage: holdfast [command] [options]\n',
    'Commands:',
    ...aligned([
      ...all.map(({ name, usage, summary }): [string, string] => [`${name} ${usage}`.trim(), summary]),
      ['help [command]', 'Tells more on one command.'],
      ['--version', 'Tells the version.'],
    ]),
    '',
    'It is configured by environment variables, and by a file .env where there is one: see .env.example.\n',
  ].join('\n')

const commandHelp = ({ name, usage, summary, options }: Command): string =>
  [`Usage: holdfast ${name} ${usage}`.trimEnd(), '', `${INDENT}${summary}`, '', ...aligned(options), ''].join('\n')

const groupHelp = (group: readonly Command[]): string =>
  ['Usage:', ...aligned(group.map(({ name, usage, summary }) => [`holdfast ${name} ${usage}`, summary])), ''].join('\n')

function aligned(entries: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(0, ...entries.map(([term]) => term.length))
  return entries.map(([term, text]) => `${INDENT}${term.padEnd(width)}  ${text}`)
}

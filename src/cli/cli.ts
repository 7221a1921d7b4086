import { ConfigurationError, EXIT_CONFIGURATION, messageOf } from '../domain/errors.ts'
import { VERSION } from '../domain/version.ts'
import { audit } from './audit.ts'
import { backup } from './backup.ts'
import {
  type CliIo,
  type Command,
  CommandError,
  didYouMean,
  EXIT_FAILED,
  EXIT_OK,
  EXIT_USAGE,
  UsageError,
} from './command.ts'
import { completionOf } from './completion.ts'
import { deadReplay } from './dead.ts'
import { deadDiscard } from './dead-discard.ts'
import { deadList } from './dead-list.ts'
import { drift } from './drift.ts'
import { eventsExport, eventsList, eventsShow } from './events.ts'
import { eventsIndex } from './events-index.ts'
import { eventsReplay } from './events-replay.ts'
import { eventsTail } from './events-tail.ts'
import { commandHelp, exitCodesHelp, groupHelp, overview, usageLine } from './help.ts'
import { init } from './init.ts'
import { listen } from './listen.ts'
import { migrate } from './migrate.ts'
import { ProblemError } from './ops-client.ts'
import { printable, write } from './output.ts'
import { drain, handlersList, handlersPause, handlersResume, sources, sourcesPause, sourcesResume } from './pauses.ts'
import {
  registrationsCreate,
  registrationsDelete,
  registrationsEnsure,
  registrationsList,
  registrationsUpdate,
} from './registrations.ts'
import { reload } from './reload.ts'
import { replaysCancel, replaysCreate, replaysList, replaysShow } from './replays.ts'
import { retentionResume, retentionShow } from './retention.ts'
import { send } from './send.ts'
import { status } from './status.ts'
import { tasksCancel, tasksList, tasksPoll, tasksShow, tasksSubmit, tasksTrack, tasksWait } from './tasks.ts'
import { type View, viewOf } from './view.ts'

/** `main.ts` runs `serve`, `dev` and `check` itself. Here they only have a help text, and refuse wrong arguments. */
const runByMain = async (args: readonly string[]): Promise<number> => {
  throw new UsageError(`unexpected ${args.join(' ')}`)
}

const serve: Command = {
  name: 'serve',
  usage: '',
  summary: 'Runs the service; the default.',
  operands: [],
  flags: {},
  run: runByMain,
}

const dev: Command = {
  name: 'dev',
  usage: '',
  summary: 'Runs the service, and reloads handlers and providers when their files change.',
  operands: [],
  flags: {},
  run: runByMain,
}

const check: Command = {
  name: 'check',
  usage: '[options]',
  summary: 'Checks configuration and modules; exit code 78 if the service could not start.',
  operands: [],
  flags: { json: { help: 'the faults as JSON' } },
  run: runByMain,
}

const completion = completionOf(() => commands)

const commands: readonly Command[] = [
  init,
  serve,
  dev,
  check,
  send,
  listen,
  status,
  eventsList,
  eventsShow,
  eventsTail,
  eventsExport,
  eventsIndex,
  eventsReplay,
  deadList,
  deadReplay,
  deadDiscard,
  replaysCreate,
  replaysList,
  replaysShow,
  replaysCancel,
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
  sources,
  sourcesPause,
  sourcesResume,
  handlersList,
  handlersPause,
  handlersResume,
  drain,
  drift,
  audit,
  retentionShow,
  retentionResume,
  reload,
  backup,
  migrate,
  completion,
]

/**
 * Runs one command of `holdfast` and resolves with its exit code: see the constants in `command.ts`, and docs/operating.md.
 * Never rejects: writes an error as one line to `err`, never as a stack trace.
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let lost: NodeJS.ErrnoException | undefined
  const note = (error: NodeJS.ErrnoException): void => {
    // The program that reads the output may end early (`| head`), which is not an error of the command.
    if (error.code !== 'EPIPE') lost ??= error
  }
  io.out.on('error', note)
  try {
    const code = await run(argv, io)
    // A stream tells of an error after the call of the write's callback.
    await new Promise((resolve) => setImmediate(resolve))
    if (lost === undefined || code !== EXIT_OK) return code
    await write(io.err, `holdfast: the output could not be written: ${printable(messageOf(lost))}\n`)
    return EXIT_FAILED
  } finally {
    io.out.off('error', note)
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
    await write(io.out, commandHelp(command, viewOf(io.out)))
    return EXIT_OK
  }
  try {
    return await command.run(args, io)
  } catch (error) {
    const [message = ''] = error instanceof ConfigurationError ? error.message.split('\n') : [messageOf(error)]
    await write(io.err, `holdfast ${command.name}: ${printable(message)}\n`)
    if (error instanceof UsageError) await write(io.err, usageLine(command))
    await write(
      io.err,
      reasonsOf(error)
        .map((reason) => `  - ${printable(reason)}\n`)
        .join(''),
    )
    return exitCodeOf(error)
  }
}

function reasonsOf(error: unknown): readonly string[] {
  if (error instanceof ConfigurationError) return error.faults
  return error instanceof ProblemError ? error.reasons : []
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
  const view = viewOf(io.out)
  if (topic.length === 0) {
    await write(io.out, overview(commands, view))
    return EXIT_OK
  }
  const text = helpOn(topic, view)
  if (text === undefined) return misunderstood(topic, io)
  await write(io.out, text)
  return EXIT_OK
}

/** Help on a command, on all commands of a group, or on exit codes. */
function helpOn(topic: readonly string[], view: View): string | undefined {
  if (topic[0] === 'exit-codes') return exitCodesHelp(view)
  const found = find(topic)
  if (found !== undefined) return commandHelp(found.command, view)
  const group = groupOf(topic[0])
  return group.length > 0 && topic[1] === undefined ? groupHelp(group, view) : undefined
}

const groupOf = (word: string | undefined): readonly Command[] =>
  commands.filter(({ name }) => name.startsWith(`${word} `))

async function misunderstood(argv: readonly string[], io: CliIo): Promise<number> {
  const [first = '', second] = argv
  const group = groupOf(first)
  if (group.length > 0 && (second === undefined || isHelp(second))) {
    const stream = second === undefined ? io.err : io.out
    await write(stream, groupHelp(group, viewOf(stream)))
    return second === undefined ? EXIT_USAGE : EXIT_OK
  }
  const typed = group.length > 0 ? `${first} ${second}` : first
  await write(io.err, `holdfast: there is no command ${printable(typed + suggestion(first, second, group))}\n`)
  await write(io.err, `Usage: holdfast ${group.length > 0 ? `${first} --help` : 'help'} lists all\n`)
  return EXIT_USAGE
}

/** The command that was probably meant: another spelling, or both words in the other order. */
function suggestion(first: string, second: string | undefined, group: readonly Command[]): string {
  const names = commands.map(({ name }) => name)
  if (names.includes(`${second} ${first}`)) return `; did you mean ${second} ${first}?`
  if (group.length > 0)
    return didYouMean(
      `${first} ${second}`,
      group.map(({ name }) => name),
    )
  const whole =
    second === undefined
      ? ''
      : didYouMean(
          `${first} ${second}`,
          names.filter((name) => name.includes(' ')),
        )
  return whole || didYouMean(first, [...new Set(names.map((name) => name.split(' ')[0] ?? ''))])
}

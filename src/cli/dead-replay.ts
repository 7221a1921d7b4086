import type { DeliveryJson } from '../http/ops/deliveries.ts'
import type { EventDetailJson } from '../http/ops/events.ts'
import {
  type CliIo,
  type Command,
  CommandError,
  EXIT_FAILED,
  EXIT_OK,
  EXIT_USAGE,
  parse,
  UsageError,
  write,
  writeJson,
} from './command.ts'
import { confirm } from './confirm.ts'
import { DELIVERIES, deadHeadings, deadRow } from './dead.ts'
import { type OpsClient, ProblemError, withOps } from './ops-client.ts'
import { walk } from './pages.ts'
import { nothingRuns, replayEvent, replayedLine } from './replay.ts'
import { printable, table } from './table.ts'
import { type Names, unknownNames } from './unknown-names.ts'

/** Dead letters that one command replays. */
const MAX_REPLAYED = 100_000
/** Of those, how many are shown first. */
const SAMPLE_SIZE = 5

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const

export const deadReplay: Command = {
  name: 'dead replay',
  operands: '<uid> | --all [options]',
  summary: 'Gives the dead letters of one event, or all of them, their attempts again.',
  options: [
    ['--all', 'every dead letter: tells how many and shows some, then asks'],
    ['--handler <name>', 'of this handler only'],
    ['--source <name>', 'with --all: of this source only'],
    ['--yes', 'with --all: do not ask'],
    ['--dry-run', 'with --all: only tell and show them'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const options = { all: flag, source: text, handler: text, yes: flag, 'dry-run': flag, json: flag } as const
    const all = args.includes('--all')
    const { values, operands } = parse(args, options, all ? [] : ['uid'])
    const { json = false, source, handler, yes = false, 'dry-run': dryRun = false } = values
    if (!all && source !== undefined) throw new UsageError('--source goes with --all')
    if (!all && yes) throw new UsageError('--yes goes with --all')
    if (!all && dryRun) throw new UsageError('--dry-run goes with --all')
    if (yes && dryRun) throw new UsageError('--yes and --dry-run exclude each other')
    return withOps(io, async (ops) => {
      const [uid] = operands
      if (uid !== undefined) return replayEach(ops, await deadOf(ops, uid, handler), io, json)
      return replayAll(ops, io, { source, handler }, { yes, dryRun, json })
    })
  },
}

/** Throws if there are none: who names one event expects something to happen. */
async function deadOf(ops: OpsClient, uid: string, handler: string | undefined): Promise<readonly DeliveryJson[]> {
  const event: EventDetailJson = await ops.get(`/v1/events/${encodeURIComponent(uid)}`)
  const dead = event.deliveries.filter(
    (delivery) => delivery.state === 'dead' && (handler === undefined || delivery.handler === handler),
  )
  if (dead.length > 0) return dead
  throw new CommandError(`event ${uid} has no dead letter${handler === undefined ? '' : ` of handler ${handler}`}`)
}

type Mode = { readonly yes: boolean; readonly dryRun: boolean; readonly json: boolean }

/** What is replayed is what was told of: those that die meanwhile are left for another time. */
async function replayAll(ops: OpsClient, io: CliIo, names: Names, { yes, dryRun, json }: Mode): Promise<number> {
  const unknown = await unknownNames(ops, names)
  if (unknown.length > 0) throw new CommandError(unknown.join('; '))
  const found = await findDead(ops, names)
  const { letters } = found
  if (dryRun && json) await writeJson(io.out, { matched: letters.length, sample: found.sample })
  else if (dryRun || !(yes && json)) await write(dryRun ? io.out : io.err, preview(found))
  if (dryRun) return EXIT_OK
  if (letters.length > 0 && !yes) await askWhether(io, letters.length)
  return replayEach(ops, letters, io, json)
}

interface Found {
  readonly letters: readonly Letter[]
  readonly sample: readonly DeliveryJson[]
  /** There are more than one command replays. */
  readonly more: boolean
}

type Letter = Pick<DeliveryJson, 'event_uid' | 'handler'>

async function findDead(ops: OpsClient, names: Names): Promise<Found> {
  const letters: Letter[] = []
  const sample: DeliveryJson[] = []
  for await (const delivery of walk<DeliveryJson>(ops, DELIVERIES, { ...names, state: 'dead' })) {
    if (letters.length === MAX_REPLAYED) return { letters, sample, more: true }
    if (sample.length < SAMPLE_SIZE) sample.push(delivery)
    letters.push({ event_uid: delivery.event_uid, handler: delivery.handler })
  }
  return { letters, sample, more: false }
}

function preview({ letters, sample, more }: Found): string {
  const rest = letters.length - sample.length
  return [
    `${deadLetters(letters.length)}${more ? ', and more, which are for another time' : ''}\n`,
    sample.length > 0 && table(deadHeadings, sample.map(deadRow)),
    rest > 0 && `… and ${rest} more\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

const deadLetters = (count: number): string => `${count} dead letter${count === 1 ? '' : 's'}`

async function askWhether(io: CliIo, count: number): Promise<void> {
  if (!io.interactive)
    throw new CommandError(
      'nothing was replayed: there is no terminal to ask on, so say --yes to replay them',
      EXIT_USAGE,
    )
  if (await confirm(io, `Replay ${deadLetters(count)}?`)) return
  throw new CommandError('nothing was replayed')
}

interface Tally {
  readonly replayed: number
  readonly failed: readonly (Letter & { readonly problem: string })[]
}

/** One that cannot be replayed (its handler is gone, say) does not keep the others from it. */
async function replayEach(ops: OpsClient, letters: readonly Letter[], io: CliIo, json: boolean): Promise<number> {
  const failed: Tally['failed'][number][] = []
  for (const letter of letters) {
    const { problem, line } = await replayOne(ops, letter)
    if (problem !== undefined) failed.push({ ...letter, problem })
    if (!json) await write(io.out, line)
  }
  const tally: Tally = { replayed: letters.length - failed.length, failed }
  await (json ? writeJson(io.out, tally) : write(io.err, summary(tally)))
  return failed.length === 0 ? EXIT_OK : EXIT_FAILED
}

async function replayOne(
  ops: OpsClient,
  { event_uid, handler }: Letter,
): Promise<{ readonly problem?: string; readonly line: string }> {
  try {
    const routing = await replayEvent(ops, event_uid, handler)
    const line = replayedLine(event_uid, routing)
    return routing.handlers.length > 0 ? { line } : { line, problem: nothingRuns(routing) }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return {
      problem: error.message,
      line: `${printable(event_uid)} ${printable(handler)}: ${printable(error.message)}\n`,
    }
  }
}

const summary = ({ replayed, failed }: Tally): string =>
  `${replayed} replayed${failed.length === 0 ? '' : `, ${failed.length} could not be`}\n`

import type { DeliveryJson, EventDetailJson } from '../http/schemas/events.ts'
import { type CliIo, CommandError, command, EXIT_FAILED, EXIT_NOT_FOUND, EXIT_OK, UsageError } from './command.ts'
import { nothingRuns, replayEvent, replayedLine } from './events.ts'
import { listFlags, type Names, runList, unknownNames, walk } from './lists.ts'
import { type OpsClient, ProblemError, withOps } from './ops-client.ts'
import { confirm, printable, shownFlags, write, writeJson } from './output.ts'
import { type Columns, count, table, text, time, whole } from './table.ts'
import { type View, viewOf } from './view.ts'

const PATH = '/v1/deliveries'
/** The most dead letters that one command replays. */
const MAX_REPLAYED = 100_000
/** How many of them a preview shows. */
const SAMPLE_SIZE = 5

export const deadList = command({
  name: 'dead list',
  summary: 'Lists dead letters, the last to die first: deliveries that are not tried again by themselves.',
  operands: [],
  flags: {
    source: { value: '<name>', help: 'of this source' },
    handler: { value: '<name>', help: 'of this handler' },
    ...listFlags,
  },
  run: async ({ flags: { limit, cursor, utc, json, ...filter } }, io) =>
    runList(io, { path: PATH, filter: { ...filter, state: 'dead' }, columns, limit, cursor, utc, json }),
})

const columns: Columns<DeliveryJson> = [
  time('DIED', ({ due_at }) => due_at),
  whole('EVENT', ({ event_uid }) => event_uid),
  text('SOURCE', ({ source }) => source),
  text('TYPE', ({ type }) => type),
  text('HANDLER', ({ handler }) => handler),
  count('ATTEMPTS', ({ attempts }) => attempts),
  text('LAST ERROR', ({ last_error }) => last_error),
]

export const deadReplay = command({
  name: 'dead replay',
  usage: '<uid> | --all [options]',
  summary: 'Gives the dead letters of one event, or all of them, their attempts again.',
  operands: ['uid?'],
  flags: {
    all: { help: 'every dead letter: tells how many and shows some, then asks' },
    handler: { value: '<name>', help: 'of this handler only' },
    source: { value: '<name>', help: 'with --all: of this source only' },
    yes: { help: 'with --all: do not ask' },
    'dry-run': { help: 'with --all: only tell and show them' },
    ...shownFlags,
  },
  run: async ({ flags, operands: [uid] }, io) => {
    const { all, source, handler, yes, 'dry-run': dryRun, utc, json } = flags
    if (all && uid !== undefined) throw new UsageError(`unexpected ${uid}`)
    if (!all && uid === undefined) throw new UsageError('<uid> is missing')
    if (!all && source !== undefined) throw new UsageError('--source goes with --all')
    if (!all && yes) throw new UsageError('--yes goes with --all')
    if (!all && dryRun) throw new UsageError('--dry-run goes with --all')
    if (yes && dryRun) throw new UsageError('--yes and --dry-run exclude each other')
    return withOps(io, async (ops) =>
      uid === undefined
        ? replayAll(ops, io, { source, handler }, { yes, dryRun, utc, json })
        : replayEach(ops, await deadOf(ops, uid, handler), io, json),
    )
  },
})

/** The dead letters of one event. Throws if it has none: an operator who names an event expects a replay. */
async function deadOf(ops: OpsClient, uid: string, handler: string | undefined): Promise<readonly DeliveryJson[]> {
  const event: EventDetailJson = await ops.get(`/v1/events/${encodeURIComponent(uid)}`)
  const dead = event.deliveries.filter(
    (delivery) => delivery.state === 'dead' && (handler === undefined || delivery.handler === handler),
  )
  if (dead.length > 0) return dead
  throw new CommandError(`event ${uid} has no dead letter${handler === undefined ? '' : ` of handler ${handler}`}`)
}

type Mode = Readonly<Record<'yes' | 'dryRun' | 'utc' | 'json', boolean>>

/** Replays exactly the dead letters that it counted for the preview. A delivery that dies after that is not replayed. */
async function replayAll(ops: OpsClient, io: CliIo, names: Names, { yes, dryRun, utc, json }: Mode): Promise<number> {
  const unknown = await unknownNames(ops, names)
  if (unknown.length > 0) throw new CommandError(unknown.join('; '), EXIT_NOT_FOUND)
  const found = await findDead(ops, names)
  const { letters } = found
  if (dryRun && json) await writeJson(io.out, { matched: letters.length, sample: found.sample })
  else if (dryRun || !(yes && json)) {
    const stream = dryRun ? io.out : io.err
    await write(stream, preview(found, viewOf(stream, { utc })))
  }
  if (dryRun) return EXIT_OK
  if (letters.length > 0 && !yes) {
    const text = `Replay ${deadLetters(letters.length)}?`
    await confirm(io, { text, otherwise: 'nothing was replayed', yes: 'to replay them' })
  }
  return replayEach(ops, letters, io, json)
}

interface DeadLetters {
  readonly letters: readonly Letter[]
  readonly sample: readonly DeliveryJson[]
  /** There are more than `MAX_REPLAYED`. */
  readonly more: boolean
}

type Letter = Pick<DeliveryJson, 'event_uid' | 'handler'>

async function findDead(ops: OpsClient, names: Names): Promise<DeadLetters> {
  const letters: Letter[] = []
  const sample: DeliveryJson[] = []
  for await (const delivery of walk<DeliveryJson>(ops, PATH, { ...names, state: 'dead' })) {
    if (letters.length === MAX_REPLAYED) return { letters, sample, more: true }
    if (sample.length < SAMPLE_SIZE) sample.push(delivery)
    letters.push({ event_uid: delivery.event_uid, handler: delivery.handler })
  }
  return { letters, sample, more: false }
}

function preview({ letters, sample, more }: DeadLetters, view: View): string {
  const rest = letters.length - sample.length
  return [
    `${deadLetters(letters.length)}${more ? ', and more, which are for another time' : ''}\n`,
    sample.length > 0 && table(view, columns, sample),
    rest > 0 && `… and ${rest} more\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

const deadLetters = (count: number): string => `${count} dead letter${count === 1 ? '' : 's'}`

interface Tally {
  readonly replayed: number
  readonly failed: readonly (Letter & { readonly problem: string })[]
}

/** Replays one letter after the other. If one cannot be replayed, for example because its handler was removed, the others still are. */
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

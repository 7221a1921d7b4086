import type { DeliveryJson, EventDetailJson } from '../http/schemas/events.ts'
import { type BulkReplay, eventCount, filterOf, MAX_PER_SECOND, replayBulk } from './bulk-replay.ts'
import { type CliIo, CommandError, command, EXIT_FAILED, EXIT_OK, parseCount, UsageError } from './command.ts'
import { nothingRuns, replayEvent, replayedLine } from './events-replay.ts'
import { type OpsClient, ProblemError, withOps } from './ops-client.ts'
import { printable, shownFlags, write, writeJson } from './output.ts'

export const deadReplay = command({
  name: 'dead replay',
  usage: '<uid> | --all [options]',
  summary: 'Gives the dead letters of one event, or all of them, their attempts again.',
  operands: ['uid?'],
  flags: {
    all: { help: 'every dead letter: tells how many and shows some, then asks' },
    handler: { value: '<name>', help: 'of this handler only' },
    source: { value: '<name>', help: 'with --all: of this source only' },
    cause: { value: '<id>', help: 'with --all: of this cause only' },
    probe: { help: 'with --all: replay one event first, and the others only if it succeeds' },
    'per-second': { value: '<n>', help: 'with --all: the most events in a second' },
    wait: { help: 'with --all: show the progress until every delivery was tried' },
    yes: { help: 'with --all: do not ask' },
    'dry-run': { help: 'with --all: only tell and show them' },
    ...shownFlags,
  },
  run: async ({ flags, operands: [uid] }, io) => {
    const { all, handler, json, utc, ...ofMany } = flags
    if (all && uid !== undefined) throw new UsageError(`unexpected ${uid}`)
    if (!all && uid === undefined) throw new UsageError('<uid> is missing')
    const [given] = Object.entries(ofMany).find(([, value]) => value !== undefined && value !== false) ?? []
    if (!all && given !== undefined) throw new UsageError(`--${given} goes with --all`)
    if (flags.yes && flags['dry-run']) throw new UsageError('--yes and --dry-run exclude each other')
    if (uid !== undefined) return withOps(io, async (ops) => replayEach(ops, await deadOf(ops, uid, handler), io, json))
    return withOps(io, (ops) => replayBulk(ops, io, allDead(flags, { json, utc })))
  },
})

type ManyFlags = Readonly<Record<'source' | 'handler' | 'cause' | 'per-second', string | undefined>> &
  Readonly<Record<'yes' | 'dry-run' | 'probe' | 'wait', boolean>>

function allDead(flags: ManyFlags, shown: Pick<BulkReplay['mode'], 'json' | 'utc'>): BulkReplay {
  const { source, handler, cause, yes, probe, wait, 'dry-run': dryRun, 'per-second': perSecond } = flags
  return {
    order: {
      filter: filterOf({ outcome: 'dead', source, handler, cause }),
      ...(handler !== undefined && { handler }),
      ...(perSecond !== undefined && { per_second: parseCount('per-second', perSecond, MAX_PER_SECOND) }),
      ...(probe && { probe }),
    },
    what: (n) => `${eventCount(n)} with dead letters`,
    mode: { yes, dryRun, wait: wait ? 'ended' : 'due', ...shown },
  }
}

/** The dead letters of one event. Throws if it has none: an operator who names an event expects a replay. */
async function deadOf(ops: OpsClient, uid: string, handler: string | undefined): Promise<readonly DeliveryJson[]> {
  const event: EventDetailJson = await ops.get(`/v1/events/${encodeURIComponent(uid)}`)
  const dead = event.deliveries.filter(
    (delivery) => delivery.state === 'dead' && (handler === undefined || delivery.handler === handler),
  )
  if (dead.length > 0) return dead
  throw new CommandError(`event ${uid} has no dead letter${handler === undefined ? '' : ` of handler ${handler}`}`)
}

type Letter = Pick<DeliveryJson, 'event_uid' | 'handler'>

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

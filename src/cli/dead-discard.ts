import type { DiscardedJson, DiscardMatchedJson, EventDiscardedJson } from '../http/schemas/dead.ts'
import { type CliIo, CommandError, command, EXIT_NOT_FOUND, EXIT_OK, UsageError } from './command.ts'
import { letterColumns } from './dead-list.ts'
import { eventFlags, receivedFlags } from './event-flags.ts'
import { eventPath } from './events.ts'
import { unknownNames } from './lists.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { confirm, printable, shownFlags, write, writeJson } from './output.ts'
import { table } from './table.ts'
import { timesOf } from './times.ts'
import { viewOf } from './view.ts'

const PATH = '/v1/deliveries/discard'

export const deadDiscard = command({
  name: 'dead discard',
  usage: '<uid> | --all | --cause <id> … [options]',
  summary:
    'Takes the dead letters of one event, or all that match, off the list: they are dealt with. They may still be replayed.',
  operands: ['uid?'],
  flags: {
    all: { help: 'every dead letter: tells how many and shows some, then asks' },
    cause: { value: '<id>', help: 'those of this cause; dead list names it' },
    handler: { value: '<name>', help: 'of this handler' },
    ...eventFlags,
    ...receivedFlags,
    yes: { help: 'do not ask' },
    'dry-run': { help: 'only tell and show them' },
    ...shownFlags,
  },
  run: async ({ flags, operands: [uid] }, io) => {
    const { all, yes, 'dry-run': dryRun, utc, json, handler, ...same } = flags
    const filter = { ...same, ...timesOf(same) }
    const given = Object.entries(filter).find(([, value]) => value !== undefined)?.[0]
    if (yes && dryRun) throw new UsageError('--yes and --dry-run exclude each other')
    if (uid === undefined) {
      if (!all && given === undefined && handler === undefined)
        throw new UsageError('<uid> is missing, or which dead letters: --cause, --handler, --source …, or --all')
      return withOps(io, (ops) => discardMany(ops, io, { ...filter, handler }, { yes, dryRun, utc, json }))
    }
    if (all || yes || dryRun || given !== undefined)
      throw new UsageError(`--${given ?? (all ? 'all' : yes ? 'yes' : 'dry-run')} goes without <uid>`)
    return withOps(io, (ops) => discardOf(ops, io, uid, { handler, json }))
  },
})

/** An operator who names an event expects a discard: without one the command fails. */
async function discardOf(
  ops: OpsClient,
  io: CliIo,
  uid: string,
  { handler, json }: { readonly handler: string | undefined; readonly json: boolean },
): Promise<number> {
  const body = handler === undefined ? {} : { handler }
  const done: EventDiscardedJson = await ops.post(`${eventPath(uid)}/discard`, body)
  if (done.handlers.length === 0)
    throw new CommandError(
      `nothing was discarded: event ${uid} has no dead letter${handler === undefined ? '' : ` of handler ${handler}`}`,
    )
  await (json
    ? writeJson(io.out, done)
    : write(io.out, `${printable(done.uid)} discarded: ${printable(done.handlers.join(', '))}\n`))
  return EXIT_OK
}

type Filter = Readonly<Record<string, string | undefined>>
type Mode = Readonly<Record<'yes' | 'dryRun' | 'utc' | 'json', boolean>>

async function discardMany(ops: OpsClient, io: CliIo, filter: Filter, mode: Mode): Promise<number> {
  const { yes, dryRun, utc, json } = mode
  const order = { filter, all: true }
  const found: DiscardMatchedJson = await ops.post(PATH, { ...order, dry_run: true })
  // One that was removed may have left dead letters.
  const unknown = found.matched > 0 ? [] : await unknownNames(ops, filter)
  if (unknown.length > 0) throw new CommandError(unknown.join('; '), EXIT_NOT_FOUND)
  if (dryRun && json) await writeJson(io.out, found)
  else if (dryRun || !(yes && json)) {
    const stream = dryRun ? io.out : io.err
    await write(stream, preview(found, viewOf(stream, { utc })))
  }
  if (dryRun) return EXIT_OK
  if (found.matched > 0 && !yes)
    await confirm(io, {
      text: `Discard ${deadLetters(found)}?`,
      otherwise: 'nothing was discarded',
      yes: 'to discard them',
    })
  let discarded = 0
  for (let more = found.matched > 0; more; ) {
    const done: DiscardedJson = await ops.post(PATH, order)
    discarded += done.discarded
    more = done.more === true
  }
  await (json ? writeJson(io.out, { discarded }) : write(io.out, `${discarded || 'nothing was'} discarded\n`))
  return EXIT_OK
}

function preview(found: DiscardMatchedJson, view: ReturnType<typeof viewOf>): string {
  const rest = found.matched - found.sample.length
  return [
    `${found.matched === 0 ? 'no dead letter matches' : deadLetters(found)}\n`,
    found.sample.length > 0 && table(view, letterColumns, found.sample),
    rest > 0 && `… and ${rest} more\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

const deadLetters = ({ matched, matched_more: more }: DiscardMatchedJson): string =>
  `${matched}${more === true ? ' or more' : ''} dead letter${matched === 1 ? '' : 's'}`

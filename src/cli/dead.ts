import type { DeliverySummary } from '../domain/delivery.ts'
import { DEFAULT_PAGE_SIZE } from '../domain/limits.ts'
import type { EventDetail } from '../domain/store.ts'
import {
  type Command,
  CommandError,
  EXIT_FAILED,
  EXIT_OK,
  parse,
  parseCount,
  UsageError,
  write,
  writeJson,
} from './command.ts'
import { type OpsClient, ProblemError, withOps } from './ops-client.ts'
import { first, walk, writePage } from './pages.ts'
import { replayEvent, replayedLine } from './replay.ts'
import { printable, shortTime } from './table.ts'

/** Deliveries that one `list` shows. */
const MAX_LISTED = 10_000
const PATH = '/v1/deliveries'

const filterOptions = [
  ['--source <name>', 'of this source'],
  ['--handler <name>', 'of this handler'],
] as const
const text = { type: 'string' } as const

export const deadList: Command = {
  name: 'dead list',
  operands: '[options]',
  summary: 'Lists dead letters: deliveries that are not tried again by themselves.',
  options: [
    ...filterOptions,
    ['--limit <n>', `how many; ${DEFAULT_PAGE_SIZE} unless given`],
    ['--cursor <cursor>', 'go on where an earlier list ended'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const options = { source: text, handler: text, limit: text, cursor: text, json: { type: 'boolean' } } as const
    const { json, limit = String(DEFAULT_PAGE_SIZE), ...filter } = parse(args, options, []).values
    const count = parseCount('limit', limit, MAX_LISTED)
    return withOps(io.read().config, async (ops) => {
      const page = await first<DeliverySummary>(ops, PATH, { ...filter, state: 'dead' }, count)
      await writePage(io, page, json, headings, row)
      return EXIT_OK
    })
  },
}

const headings = ['DIED (UTC)', 'EVENT', 'SOURCE', 'TYPE', 'HANDLER', 'ATTEMPTS', 'LAST ERROR']

const row = (delivery: DeliverySummary): readonly string[] => [
  shortTime(delivery.due_at),
  delivery.event_uid,
  delivery.source,
  delivery.type,
  delivery.handler,
  String(delivery.attempts),
  delivery.last_error ?? '',
]

export const deadReplay: Command = {
  name: 'dead replay',
  operands: '<uid> | --all [options]',
  summary: 'Gives the dead letters of one event, or all of them, their attempts again.',
  options: [
    ['--all', 'every dead letter'],
    ['--handler <name>', 'of this handler only'],
    ['--source <name>', 'with --all: of this source only'],
    ['--json', 'as JSON'],
  ],
  run: async (args, io) => {
    const options = { all: { type: 'boolean' }, source: text, handler: text, json: { type: 'boolean' } } as const
    const all = args.includes('--all')
    const { values, operands } = parse(args, options, all ? [] : ['uid'])
    const { json, source, handler } = values
    if (!all && source !== undefined) throw new UsageError('--source goes with --all')
    return withOps(io.read().config, async (ops) => {
      const [uid] = operands
      const dead =
        uid === undefined
          ? walk<DeliverySummary>(ops, PATH, { state: 'dead', source, handler })
          : await deadOf(ops, uid, handler)
      const tally = await replayEach(ops, dead, (line) => (json === true ? undefined : write(io.out, line)))
      if (json === true) await writeJson(io.out, tally)
      else await write(io.err, summary(tally))
      return tally.failed.length === 0 ? EXIT_OK : EXIT_FAILED
    })
  },
}

/** Throws if there are none: who names one event expects something to happen. */
async function deadOf(ops: OpsClient, uid: string, handler: string | undefined): Promise<readonly DeliverySummary[]> {
  const event: EventDetail = await ops.get(`/v1/events/${encodeURIComponent(uid)}`)
  const dead = event.deliveries.filter(
    (delivery) => delivery.state === 'dead' && (handler === undefined || delivery.handler === handler),
  )
  if (dead.length > 0) return dead
  throw new CommandError(`event ${uid} has no dead letter${handler === undefined ? '' : ` of handler ${handler}`}`)
}

interface Tally {
  readonly replayed: number
  readonly failed: readonly { readonly event_uid: string; readonly handler: string; readonly problem: string }[]
}

/** One that cannot be replayed (its handler is gone, say) does not keep the others from it. */
async function replayEach(
  ops: OpsClient,
  deliveries: AsyncIterable<DeliverySummary> | Iterable<DeliverySummary>,
  say: (line: string) => unknown,
): Promise<Tally> {
  let replayed = 0
  const failed: { event_uid: string; handler: string; problem: string }[] = []
  for await (const { event_uid, handler } of deliveries) {
    try {
      await say(replayedLine(event_uid, await replayEvent(ops, event_uid, handler)))
      replayed++
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      failed.push({ event_uid, handler, problem: error.message })
      await say(`${event_uid} ${printable(handler)}: ${printable(error.message)}\n`)
    }
  }
  return { replayed, failed }
}

const summary = ({ replayed, failed }: Tally): string =>
  `${replayed} replayed${failed.length === 0 ? '' : `, ${failed.length} could not be`}\n`

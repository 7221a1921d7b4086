import { EVENT_OUTCOMES } from '../domain/outcome.ts'
import type { ReplayDetailJson, ReplayJobJson, ReplayOrderJson } from '../http/schemas/replays.ts'
import {
  eventCount,
  filterOf,
  isOpen,
  MAX_PER_SECOND,
  outcomeText,
  REPLAYS,
  replayBulk,
  replayPath,
} from './bulk-replay.ts'
import { type CliIo, CommandError, command, EXIT_OK, oneOf, parseCount, UsageError } from './command.ts'
import { eventFlags, payloadFlags, receivedFlags } from './event-flags.ts'
import { listFlags, runList } from './lists.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { fields, shownFlags, write, writeAnswer } from './output.ts'
import { type Columns, count, spare, state, text, time, whole } from './table.ts'
import { timesOf } from './times.ts'
import { stateCell, timeIn, type View } from './view.ts'

/** Which events a replay is for, and how it runs. */
export const bulkFlags = {
  ...eventFlags,
  outcome: oneOf('<outcome>', EVENT_OUTCOMES),
  cause: { value: '<id>', help: 'with a dead delivery of this cause; only those run' },
  ...receivedFlags,
  ...payloadFlags,
  all: { help: 'every event, where no filter is given' },
  handler: { value: '<name>', help: 'run this handler only' },
  'per-second': { value: '<n>', help: 'the most events in a second' },
  probe: { help: 'replay one event first, and the others only if it succeeds' },
  yes: { help: 'do not ask' },
  'dry-run': { help: 'only say how many match, and show some' },
  wait: { help: 'show the progress until every delivery was tried' },
  ...shownFlags,
} as const

type BulkValues = { readonly [Name in keyof typeof bulkFlags]?: string | boolean | readonly string[] | undefined }

/** Replays the events that the options match. */
export async function runBulk(io: CliIo, flags: BulkValues): Promise<number> {
  const { all, handler, probe, yes, wait, utc, json, since, until, 'dry-run': dryRun, 'per-second': perSecond } = flags
  if (yes && dryRun) throw new UsageError('--yes and --dry-run exclude each other')
  const { source, type, status, outcome, cause, origin, task, q, contains, match } = flags
  const given = { source, type, status, outcome, cause, origin, task, q, contains, match }
  const times = timesOf({ since, until } as Parameters<typeof timesOf>[0])
  const filter = filterOf({ ...given, ...times } as Parameters<typeof filterOf>[0])
  if (Object.keys(filter).length === 0 && !all)
    throw new UsageError('say which events: by a filter such as --type or --since, or --all')
  if (Object.keys(filter).length > 0 && all) throw new UsageError('--all and a filter exclude each other')
  const order: ReplayOrderJson = {
    filter,
    ...(all === true && { all }),
    ...(typeof handler === 'string' && { handler }),
    ...(typeof perSecond === 'string' && { per_second: parseCount('per-second', perSecond, MAX_PER_SECOND) }),
    ...(probe === true && { probe }),
  }
  const mode = { yes: yes === true, dryRun: dryRun === true, utc: utc === true, json: json === true }
  return withOps(io, (ops) =>
    replayBulk(ops, io, {
      order,
      what: (n) => `${eventCount(n)} match${n === 1 ? 'es' : ''}`,
      mode: { ...mode, wait: wait === true ? 'ended' : undefined },
    }),
  )
}

export const replaysCreate = command({
  name: 'replays create',
  summary: 'Replays all events that match a filter: says how many match, shows some, and asks.',
  operands: [],
  flags: bulkFlags,
  run: async ({ flags }, io) => runBulk(io, flags),
})

const columns: Columns<ReplayJobJson> = [
  spare(time('CREATED', ({ created_at }) => created_at)),
  whole('ID', ({ id }) => id),
  state('STATE', (job) => job.state),
  count('MATCHED', ({ matched, matched_more }) => (matched_more === true ? `${matched}+` : matched)),
  count('REPLAYED', ({ replayed }) => replayed),
  spare(count('SKIPPED', ({ skipped }) => skipped)),
  spare(text('HANDLER', ({ handler }) => handler)),
  text('FILTER', ({ filter }) => filterText(filter)),
]

const filterText = (filter: ReplayJobJson['filter']): string =>
  Object.entries(filter)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ') || 'every event'

export const replaysList = command({
  name: 'replays list',
  summary: 'Lists replays of many events, newest first.',
  operands: [],
  flags: listFlags,
  run: async ({ flags: { limit, cursor, utc, json } }, io) =>
    runList(io, { path: REPLAYS, filter: {}, columns, limit, cursor, utc, json }),
})

export const replaysShow = command({
  name: 'replays show',
  summary: 'Shows the progress of a replay, and what became of its deliveries.',
  operands: ['id'],
  flags: shownFlags,
  run: async ({ flags: { json, utc }, operands: [id] }, io) =>
    withOps(io, async (ops) => {
      await writeAnswer(io, await ops.get<ReplayDetailJson>(replayPath(id)), { json, utc }, describe)
      return EXIT_OK
    }),
})

function describe(job: ReplayDetailJson, view: View): string {
  const { probe, rate, estimated_end_at: end } = job
  const of = (at: string | undefined): string | undefined => at && timeIn(view, at)
  const head = fields(view, [
    ['id', job.id],
    ['state', stateCell(job.state)],
    ['filter', filterText(job.filter)],
    ['handler', job.handler],
    ['by', job.by],
    ['matched', `${job.matched}${job.matched_more === true ? ' or more' : ''}`],
    ['probe', probe && `${probe.state}${probe.uid === undefined ? '' : `: ${probe.uid}`} ${probe.error ?? ''}`],
    ['per second', job.per_second === undefined ? undefined : `${job.per_second} at most`],
    ['rate', rate === undefined ? undefined : `${rate} a second`],
    ['created', of(job.created_at)],
    ['started', of(job.started_at)],
    ['ended', of(job.ended_at)],
    ['ends about', isOpen(job) ? of(end) : undefined],
  ])
  return `${head}\n${outcomeText(job, view)}`
}

export const replaysCancel = command({
  name: 'replays cancel',
  summary: 'Cancels a replay: nothing more is made due, and what is due already runs.',
  operands: ['id'],
  flags: shownFlags,
  run: async ({ flags: { json, utc }, operands: [id] }, io) =>
    withOps(io, async (ops) => {
      const before: ReplayDetailJson = await ops.get(replayPath(id))
      if (!isOpen(before)) throw new CommandError(`replay ${id} has ended already: it is ${before.state}`)
      return cancel(ops, io, id, { json, utc })
    }),
})

async function cancel(ops: OpsClient, io: CliIo, id: string, shown: { json: boolean; utc: boolean }): Promise<number> {
  const job = await ops.delete<ReplayJobJson>(replayPath(id))
  if (job === undefined) throw new CommandError('the service gave no answer')
  if (shown.json) await writeAnswer(io, job, shown, () => '')
  else await write(io.out, `replay ${id} is ${job.state}: ${job.replayed} of ${job.matched} replayed\n`)
  return EXIT_OK
}

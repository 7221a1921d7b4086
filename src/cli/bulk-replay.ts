import type { EventJson } from '../http/schemas/events.ts'
import type {
  DryRunJson,
  ReplayCreatedJson,
  ReplayDetailJson,
  ReplayFilterJson,
  ReplayJobJson,
  ReplayOrderJson,
} from '../http/schemas/replays.ts'
import { type CliIo, CommandError, EXIT_FAILED, EXIT_NOT_FOUND, EXIT_OK } from './command.ts'
import { unknownNames } from './lists.ts'
import type { OpsClient } from './ops-client.ts'
import { confirm, printable, write, writeJson } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import { type Columns, count, spare, state, table, text, time, whole } from './table.ts'
import { span, type View, viewOf } from './view.ts'

export const REPLAYS = '/v1/replays'
export const replayPath = (id: string): string => `${REPLAYS}/${encodeURIComponent(id)}`
/** The most events in a second that an operator can ask for. */
export const MAX_PER_SECOND = 100_000
const LOOK_MS = 300

export interface BulkMode {
  readonly yes: boolean
  readonly dryRun: boolean
  /** `due`: until every event is replayed or skipped. `ended`: also until each of their deliveries was tried. */
  readonly wait: 'due' | 'ended' | undefined
  readonly utc: boolean
  readonly json: boolean
}

export interface BulkReplay {
  readonly order: ReplayOrderJson
  /** What matches, in words for the operator. */
  readonly what: (matched: number) => string
  readonly mode: BulkMode
}

export const eventCount = (n: number): string => `${n} event${n === 1 ? '' : 's'}`

const sampleColumns: Columns<EventJson> = [
  time('RECEIVED', ({ received_at }) => received_at),
  whole('UID', ({ uid }) => uid),
  spare(text('SOURCE', ({ source }) => source)),
  text('TYPE', ({ type }) => type),
  spare(state('STATUS', ({ status }) => status)),
]

/** Says what matches, asks, and has the service replay it. Resolves with the exit code. */
export async function replayBulk(ops: OpsClient, io: CliIo, { order, what, mode }: BulkReplay): Promise<number> {
  const unknown = await unknownNames(ops, { source: order.filter.source, handler: order.handler })
  if (unknown.length > 0) throw new CommandError(unknown.join('; '), EXIT_NOT_FOUND)
  const found: DryRunJson = await ops.post(REPLAYS, { ...order, dry_run: true })
  if (mode.dryRun) {
    if (mode.json) await writeJson(io.out, found)
    else await write(io.out, preview(found, what, viewOf(io.out, mode)))
    return EXIT_OK
  }
  if (!(mode.yes && mode.json)) await write(io.err, preview(found, what, viewOf(io.err, mode)))
  if (found.matched === 0) {
    await (mode.json ? writeJson(io.out, { matched: 0, replayed: 0 }) : write(io.err, '0 replayed\n'))
    return EXIT_OK
  }
  if (!mode.yes) {
    const question = `Replay ${amountOf(found, eventCount)}?`
    await confirm(io, { text: question, otherwise: 'nothing was replayed', yes: 'to replay them' })
  }
  const { id }: ReplayCreatedJson = await ops.post(REPLAYS, order)
  if (mode.wait === undefined) {
    if (mode.json) await writeJson(io.out, await ops.get<ReplayDetailJson>(replayPath(id)))
    else await write(io.out, `replay ${id} runs: holdfast replays show ${id}\n`)
    return EXIT_OK
  }
  return waitFor(ops, io, id, mode)
}

const amountOf = ({ matched, matched_more }: DryRunJson, words: (n: number) => string): string =>
  matched_more === true ? `more than ${words(matched)}` : words(matched)

function preview(found: DryRunJson, what: (matched: number) => string, view: View): string {
  const { matched, matched_more, sample } = found
  const rest = matched - sample.length
  return [
    `${amountOf(found, what)}\n`,
    sample.length > 0 && table(view, sampleColumns, sample),
    rest > 0 && `… and ${rest} ${matched_more === true ? 'or more' : 'more'}\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

/** Shows the progress of a replay until it is over, and then what became of it. Resolves with the exit code. */
async function waitFor(ops: OpsClient, io: CliIo, id: string, { wait, json }: BulkMode): Promise<number> {
  const signal = io.endSignal()
  const line = new ProgressLine(io.err)
  for (;;) {
    const job: ReplayDetailJson = await ops.get(replayPath(id))
    const pending = wait === 'ended' ? job.outcomes.reduce((sum, outcome) => sum + outcome.pending, 0) : 0
    if (!isOpen(job) && pending === 0) {
      line.end()
      return report(io, job, json)
    }
    if (signal.aborted) {
      line.end()
      throw new CommandError(`replay ${id} goes on: holdfast replays show ${id}, or cancel`)
    }
    line.showText(progressText(job, pending))
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

export const isOpen = ({ state: now }: Pick<ReplayJobJson, 'state'>): boolean => now === 'running' || now === 'queued'

function progressText(job: ReplayDetailJson, pending: number): string {
  if (job.state === 'queued') return 'waits for the replays before it'
  if (!isOpen(job)) return `${pending} deliveries are not tried yet`
  const { probe, rate, estimated_end_at: end } = job
  if (probe !== undefined && probe.state !== 'succeeded')
    return `the probe ${probe.uid === undefined ? '' : `${printable(probe.uid)} `}is ${probe.state}`
  return [
    `${job.replayed + job.skipped} of ${job.matched}${job.matched_more === true ? ' or more' : ''}`,
    rate !== undefined && `${rate < 10 ? rate : Math.round(rate)} a second`,
    end !== undefined && `${span(Math.max(0, Date.parse(end) - Date.now()))} left`,
  ]
    .filter((part) => part !== false)
    .join(', ')
}

async function report(io: CliIo, job: ReplayDetailJson, json: boolean): Promise<number> {
  if (json) await writeJson(io.out, job)
  else {
    const probe = job.probe?.state === 'succeeded' ? `the probe ${printable(job.probe.uid ?? '')} succeeded\n` : ''
    await write(io.err, `${probe}${outcomeText(job, viewOf(io.err))}`)
  }
  const isWell = job.state === 'done' && job.skipped === 0 && job.outcomes.every(({ dead }) => dead === 0)
  return isWell ? EXIT_OK : EXIT_FAILED
}

const SKIPS: Readonly<Record<string, string>> = {
  nothing_to_run: 'had nothing to run: pending, running, or changed meanwhile',
  not_wanted: 'no handler wants',
  not_accepted: 'are quarantined or in conflict',
  source_removed: 'are of a source that is not configured any more',
  body_corrupt: 'have a damaged body',
  gone: 'do not exist any more',
}

const outcomeColumns: Columns<ReplayDetailJson['outcomes'][number]> = [
  text('HANDLER', ({ handler }) => handler),
  count('SUCCEEDED', ({ succeeded }) => succeeded),
  count('PENDING', ({ pending }) => pending),
  count('FAILING', ({ failing }) => failing),
  count('DEAD', ({ dead }) => dead),
  count('DISCARDED', ({ discarded }) => discarded),
]

/** What a replay did so far. */
export function outcomeText(job: ReplayDetailJson, view: View): string {
  const left = job.state === 'done' ? job.matched - job.replayed - job.skipped : 0
  const skips = Object.entries(job.skips).map(([reason, n]) => `  ${n} ${SKIPS[reason] ?? printable(reason)}\n`)
  return [
    job.outcomes.length > 0 && table(view, outcomeColumns, job.outcomes),
    job.state === 'stopped' && `stopped, because the probe failed: ${printable(job.reason ?? '')}\n`,
    job.state === 'cancelled' && 'cancelled\n',
    `${job.replayed} replayed${job.skipped === 0 ? '' : `, ${job.skipped} skipped`}\n`,
    ...skips,
    left > 0 && `${job.matched_more === true ? 'at least ' : ''}${left} did not match any more when their turn came\n`,
  ]
    .filter((part) => part !== false)
    .join('')
}

/** Without what is undefined. */
export const filterOf = (given: { readonly [Field in keyof ReplayFilterJson]?: ReplayFilterJson[Field] | undefined }) =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as ReplayFilterJson

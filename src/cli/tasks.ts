import { DEFAULT_PAGE_SIZE } from '../domain/limits.ts'
import { isTerminal, TASK_STATUSES } from '../domain/task.ts'
import type { TaskJson } from '../http/ops/tasks.ts'
import {
  type CliIo,
  type Command,
  CommandError,
  EXIT_NOT_COMPLETED,
  EXIT_OK,
  EXIT_TIMEOUT,
  parse,
  parseCount,
  parseWord,
  UsageError,
  write,
  writeJson,
} from './command.ts'
import { durationMs } from './duration.ts'
import { readObject } from './json-input.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { first, writePage } from './pages.ts'
import { fields, shortTime } from './table.ts'
import { hintAtUnknown } from './unknown-names.ts'

const PATH = '/v1/tasks'
const MAX_LISTED = 10_000
const DEFAULT_TIMEOUT = '5m'
/** Seconds of one request that waits; more than one makes up a long wait. */
const WAIT_SECONDS = 20
/** A wait that ends sooner than it was to was cut off. */
const CUT_OFF_MS = 500

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const jsonOption = ['--json', 'as JSON'] as const
const beginOptions = {
  'max-wait': text,
  deadline: text,
  metadata: text,
  key: text,
  json: flag,
} as const
const beginHelp = [
  [
    '--max-wait <time>',
    'ask the provider when no webhook came for so long, e.g. 90s, 15m; TASK_MAX_WAIT_MS unless given',
  ],
  ['--deadline <time>', 'wait no longer than that, e.g. 2h, 1d; TASK_DEADLINE_MS unless given'],
  ['--metadata <json>', 'an object to keep beside it'],
  ['--key <key>', 'an Idempotency-Key: the same one again makes no second task'],
  jsonOption,
] as const

export const tasksSubmit: Command = {
  name: 'tasks submit',
  operands: '<source> --data <file> [options]',
  summary: 'Has Holdfast give a source’s provider a task, and wait for its end.',
  options: [['--data <file>', "the provider's own request, as JSON; - reads it from the standard input"], ...beginHelp],
  run: async (args, io) => {
    const { values, operands } = parse(args, { ...beginOptions, data: text }, ['source'])
    if (values.data === undefined) throw new UsageError('--data is missing')
    return begin(io, values, { source: operands[0], submit: await readObject(values.data, io) })
  },
}

export const tasksTrack: Command = {
  name: 'tasks track',
  operands: '<source> <task_id> [options]',
  summary: 'Has Holdfast wait for the end of a task that you have submitted yourself.',
  options: beginHelp,
  run: async (args, io) => {
    const { values, operands } = parse(args, beginOptions, ['source', 'task_id'])
    return begin(io, values, { source: operands[0], task_id: operands[1] })
  },
}

type BeginValues = Partial<Record<'max-wait' | 'deadline' | 'metadata' | 'key', string>> & { json?: boolean }

async function begin(io: CliIo, values: BeginValues, work: object): Promise<number> {
  const { 'max-wait': maxWait, deadline, metadata, key, json } = values
  const body = {
    ...work,
    ...(maxWait !== undefined && { max_wait_ms: timeOf('max-wait', maxWait) }),
    ...(deadline !== undefined && { deadline_ms: timeOf('deadline', deadline) }),
    ...(metadata !== undefined && { metadata: metadataOf(metadata) }),
  }
  const headers = key === undefined ? {} : { 'idempotency-key': key }
  return withOps(io, async (ops) => show(io, await ops.post<TaskJson>(PATH, body, headers), json))
}

function timeOf(option: string, given: string): number {
  const ms = durationMs(given)
  if (ms === undefined) throw new UsageError(`--${option} is a while such as 90s, 15m, 2h or 1d`)
  return ms
}

function metadataOf(given: string): object {
  try {
    const value: unknown = JSON.parse(given)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {}
  throw new UsageError('--metadata is a JSON object')
}

export const tasksList: Command = {
  name: 'tasks list',
  operands: '[options]',
  summary: 'Lists tasks, newest first.',
  options: [
    ['--source <name>', 'of this source'],
    ['--status <status>', TASK_STATUSES.join(', ')],
    ['--limit <n>', `how many; ${DEFAULT_PAGE_SIZE} unless given`],
    ['--cursor <cursor>', 'go on where an earlier list ended'],
    jsonOption,
  ],
  run: async (args, io) => {
    const options = { source: text, status: text, limit: text, cursor: text, json: flag } as const
    const { json, limit = String(DEFAULT_PAGE_SIZE), ...filter } = parse(args, options, []).values
    const count = parseCount('limit', limit, MAX_LISTED)
    parseWord('status', filter.status, TASK_STATUSES)
    return withOps(io, async (ops) => {
      const page = await first<TaskJson>(ops, PATH, filter, count)
      await writePage(io, page, json, headings, row)
      await hintAtUnknown(io, ops, page, { source: filter.source })
      return EXIT_OK
    })
  },
}

const headings = ['CREATED (UTC)', 'SOURCE', 'TASK', 'STATUS', 'RESOLVED BY', 'POLLS', 'LAST ERROR']

const row = (task: TaskJson): readonly string[] => [
  shortTime(task.created_at),
  task.source,
  task.task_id ?? task.uid,
  task.status,
  task.resolved_by ?? '',
  String(task.polls),
  task.last_error ?? '',
]

export const tasksShow = onTask('tasks show', 'Shows one task.', (ops, path, io, json) =>
  ops.get<TaskJson>(path).then((task) => show(io, task, json)),
)

export const tasksPoll = onTask('tasks poll', 'Asks the provider for a task now.', async (ops, path, io, json) => {
  const before = await ops.get<TaskJson>(path)
  if (!isTerminal(before.status)) return show(io, await ops.post<TaskJson>(`${path}/poll`, {}), json)
  await show(io, before, json)
  await write(io.err, `the task is ${before.status} already, and its provider was not asked\n`)
  return EXIT_OK
})

export const tasksCancel = onTask(
  'tasks cancel',
  'Waits for a task no more; the provider is not told. Exit code 1 if it had ended otherwise.',
  async (ops, path, io, json) => {
    const task = (await ops.delete<TaskJson>(path)) ?? (await ops.get<TaskJson>(path))
    await show(io, task, json)
    if (task.status === 'cancelled') return EXIT_OK
    throw new CommandError(`the task is ${task.status} already: there was nothing to cancel`)
  },
)

/** `act` gives the exit code. */
function onTask(
  name: string,
  summary: string,
  act: (ops: OpsClient, path: string, io: CliIo, json: boolean | undefined) => Promise<number>,
): Command {
  return {
    name,
    operands: '<source> <task_id> [options]',
    summary,
    options: [jsonOption],
    run: async (args, io) => {
      const { values, operands } = parse(args, { json: flag }, ['source', 'task_id'])
      return withOps(io, (ops) => act(ops, pathOf(...operands), io, values.json))
    },
  }
}

export const tasksWait: Command = {
  name: 'tasks wait',
  operands: '<source> <task_id> [options]',
  summary: `Waits until a task has ended; exit code 0 if it is completed, ${EXIT_NOT_COMPLETED} if it ended otherwise, ${EXIT_TIMEOUT} if it has not ended.`,
  options: [['--timeout <time>', `give up after so long, e.g. 90s, 15m; ${DEFAULT_TIMEOUT} unless given`], jsonOption],
  run: async (args, io) => {
    const { values, operands } = parse(args, { timeout: text, json: flag }, ['source', 'task_id'])
    const { timeout = DEFAULT_TIMEOUT, json } = values
    const untilMs = Date.now() + timeOf('timeout', timeout)
    return withOps(io, async (ops) => {
      const task = await waitUntil(ops, pathOf(...operands), untilMs)
      await show(io, task, json)
      if (!isTerminal(task.status))
        throw new CommandError(`the task is still ${task.status} after ${timeout}`, EXIT_TIMEOUT)
      return task.status === 'completed' ? EXIT_OK : EXIT_NOT_COMPLETED
    })
  },
}

/** The task as soon as it is terminal, or as it is when the time is over. A service that stops keeps nobody waiting. */
async function waitUntil(ops: OpsClient, path: string, untilMs: number): Promise<TaskJson> {
  for (;;) {
    const startMs = Date.now()
    const leftSeconds = Math.ceil((untilMs - startMs) / 1_000)
    const wait = Math.max(0, Math.min(WAIT_SECONDS, leftSeconds))
    const task = await ops.get<TaskJson>(path, { wait })
    if (isTerminal(task.status)) return task
    if (Date.now() < startMs + wait * 1_000 - CUT_OFF_MS)
      throw new CommandError(`the service is stopping, and the task is still ${task.status}`)
    if (leftSeconds <= WAIT_SECONDS) return task
  }
}

const pathOf = (source: string, id: string): string => `${PATH}/${encodeURIComponent(source)}/${encodeURIComponent(id)}`

async function show(io: CliIo, task: TaskJson, json: boolean | undefined): Promise<number> {
  await (json === true ? writeJson(io.out, task) : write(io.out, describe(task)))
  return EXIT_OK
}

const describe = (task: TaskJson): string =>
  fields([
    ['uid', task.uid],
    ['source', task.source],
    ['task', task.task_id ?? undefined],
    ['status', task.status],
    ["provider's word", task.provider_status ?? undefined],
    ['resolved by', task.resolved_by ?? undefined],
    ['event', task.event_uid ?? undefined],
    ['created', shortTime(task.created_at)],
    ['ended', task.ended_at === null ? undefined : shortTime(task.ended_at)],
    ['stale at', task.ended_at === null ? shortTime(task.stale_at) : undefined],
    ['expires', task.ended_at === null ? shortTime(task.expires_at) : undefined],
    ['next poll', task.next_poll_at === null ? undefined : shortTime(task.next_poll_at)],
    ['polls', String(task.polls)],
    ['last error', task.last_error ?? undefined],
    ['metadata', task.metadata === null ? undefined : JSON.stringify(task.metadata)],
  ])

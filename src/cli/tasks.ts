import { durationMs } from '../domain/clock.ts'
import { isTerminal, TASK_STATUSES } from '../domain/task.ts'
import type { QuestionJson, TaskDetailJson, TaskJson } from '../http/schemas/tasks.ts'
import {
  type CliIo,
  type Command,
  CommandError,
  command,
  EXIT_NOT_COMPLETED,
  EXIT_OK,
  EXIT_TIMEOUT,
  oneOf,
  readObject,
  UsageError,
} from './command.ts'
import { listFlags, runList } from './lists.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { fields, type Shown, shortDuration, shownFlags, write, writeAnswer } from './output.ts'
import { type Columns, count, main, spare, state, table, text, time, whole } from './table.ts'
import { stateCell, timeIn, type View } from './view.ts'

const PATH = '/v1/tasks'
const DEFAULT_TIMEOUT = '5m'
/** Seconds that one request waits; a longer wait takes several requests. */
const WAIT_SECONDS = 20
/** A wait that ends earlier than this before its time was cut off by the service. */
const CUT_OFF_MS = 500

/** The options of both commands that begin a task. */
const beginFlags = {
  'max-wait': {
    value: '<time>',
    help: 'ask the provider when no webhook came for so long, e.g. 90s, 15m; TASK_MAX_WAIT_MS unless given',
  },
  deadline: { value: '<time>', help: 'wait no longer than that, e.g. 2h, 1d; TASK_DEADLINE_MS unless given' },
  metadata: { value: '<json>', help: 'an object to keep beside it' },
  key: { value: '<key>', help: 'an Idempotency-Key: the same one again makes no second task' },
  ...shownFlags,
} as const

export const tasksSubmit = command({
  name: 'tasks submit',
  summary: 'Has Holdfast give a source’s provider a task, and wait for its end.',
  operands: ['source'],
  flags: {
    data: {
      value: '<file>',
      help: "the provider's own request, as JSON; - reads it from the standard input",
      required: true,
    },
    ...beginFlags,
  },
  run: async ({ flags: { data, ...flags }, operands: [source] }, io) =>
    begin(io, flags, { source, submit: await readObject(data, io) }),
})

export const tasksTrack = command({
  name: 'tasks track',
  summary: 'Has Holdfast wait for the end of a task that you have submitted yourself.',
  operands: ['source', 'task_id'],
  flags: beginFlags,
  run: ({ flags, operands: [source, task_id] }, io) => begin(io, flags, { source, task_id }),
})

type BeginFlags = Readonly<Record<'max-wait' | 'deadline' | 'metadata' | 'key', string | undefined>> & Shown

async function begin(io: CliIo, flags: BeginFlags, work: object): Promise<number> {
  const { 'max-wait': maxWait, deadline, metadata, key } = flags
  const body = {
    ...work,
    ...(maxWait !== undefined && { max_wait_ms: timeOf('max-wait', maxWait) }),
    ...(deadline !== undefined && { deadline_ms: timeOf('deadline', deadline) }),
    ...(metadata !== undefined && { metadata: metadataOf(metadata) }),
  }
  const headers = key === undefined ? {} : { 'idempotency-key': key }
  return withOps(io, async (ops) => show(io, await ops.post<TaskJson>(PATH, body, headers), flags))
}

function timeOf(option: string, text: string): number {
  const ms = durationMs(text)
  if (ms === undefined) throw new UsageError(`--${option} is a while such as 90s, 15m, 2h or 1d`)
  return ms
}

function metadataOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {}
  throw new UsageError('--metadata is a JSON object')
}

export const tasksList = command({
  name: 'tasks list',
  summary: 'Lists tasks, newest first.',
  operands: [],
  flags: {
    source: { value: '<name>', help: 'of this source' },
    status: oneOf('<status>', TASK_STATUSES),
    ...listFlags,
  },
  run: async ({ flags: { limit, cursor, utc, json, ...filter } }, io) =>
    runList(io, { path: PATH, filter, columns, limit, cursor, utc, json }),
})

const columns: Columns<TaskJson> = [
  time('CREATED', ({ created_at }) => created_at),
  text('SOURCE', ({ source }) => source),
  whole('TASK', ({ task_id, uid }) => task_id ?? uid),
  state('STATUS', ({ status }) => status),
  spare(text('RESOLVED BY', ({ resolved_by }) => resolved_by)),
  spare(count('POLLS', ({ polls }) => polls)),
  main(text('LAST ERROR', ({ last_error }) => last_error)),
]

export const tasksShow = onTask(
  'tasks show',
  'Shows one task, and what its provider was asked.',
  (ops, path, io, shown) => ops.get<TaskDetailJson>(path).then((task) => show(io, task, shown)),
)

export const tasksPoll = onTask('tasks poll', 'Asks the provider for a task now.', async (ops, path, io, shown) => {
  const before = await ops.get<TaskDetailJson>(path)
  if (!isTerminal(before.status)) return show(io, await ops.post<TaskDetailJson>(`${path}/poll`, {}), shown)
  await show(io, before, shown)
  await write(io.err, `the task is ${before.status} already, and its provider was not asked\n`)
  return EXIT_OK
})

export const tasksCancel = onTask(
  'tasks cancel',
  'Waits for a task no more; the provider is not told. Exit code 1 if it had ended otherwise.',
  async (ops, path, io, shown) => {
    const task = (await ops.delete<TaskJson>(path)) ?? (await ops.get<TaskJson>(path))
    await show(io, task, shown)
    if (task.status === 'cancelled') return EXIT_OK
    throw new CommandError(`the task is ${task.status} already: there was nothing to cancel`)
  },
)

/** A command on one task; `act` gives the exit code. */
function onTask(
  name: string,
  summary: string,
  act: (ops: OpsClient, path: string, io: CliIo, shown: Shown) => Promise<number>,
): Command {
  return command({
    name,
    summary,
    operands: ['source', 'task_id'],
    flags: shownFlags,
    run: async ({ flags, operands }, io) => withOps(io, (ops) => act(ops, pathOf(...operands), io, flags)),
  })
}

export const tasksWait = command({
  name: 'tasks wait',
  summary: `Waits until a task has ended; exit code 0 if it is completed, ${EXIT_NOT_COMPLETED} if it ended otherwise, ${EXIT_TIMEOUT} if it has not ended.`,
  operands: ['source', 'task_id'],
  flags: {
    timeout: { value: '<time>', help: `give up after so long, e.g. 90s, 15m; ${DEFAULT_TIMEOUT} unless given` },
    ...shownFlags,
  },
  run: async ({ flags: { timeout = DEFAULT_TIMEOUT, ...shown }, operands }, io) => {
    const untilMs = Date.now() + timeOf('timeout', timeout)
    return withOps(io, async (ops) => {
      const task = await waitUntil(ops, pathOf(...operands), untilMs)
      await show(io, task, shown)
      if (!isTerminal(task.status))
        throw new CommandError(`the task is still ${task.status} after ${timeout}`, EXIT_TIMEOUT)
      return task.status === 'completed' ? EXIT_OK : EXIT_NOT_COMPLETED
    })
  },
})

/**
 * Resolves with the task as soon as it is terminal, or at `untilMs` with its state then. Throws if the service answers earlier: it
 * does so when it stops.
 */
async function waitUntil(ops: OpsClient, path: string, untilMs: number): Promise<TaskDetailJson> {
  for (;;) {
    const startMs = Date.now()
    const leftSeconds = Math.ceil((untilMs - startMs) / 1_000)
    const wait = Math.max(0, Math.min(WAIT_SECONDS, leftSeconds))
    const task = await ops.get<TaskDetailJson>(path, { wait })
    if (isTerminal(task.status)) return task
    if (Date.now() < startMs + wait * 1_000 - CUT_OFF_MS)
      throw new CommandError(`the service is stopping, and the task is still ${task.status}`)
    if (leftSeconds <= WAIT_SECONDS) return task
  }
}

const pathOf = (source: string, id: string): string => `${PATH}/${encodeURIComponent(source)}/${encodeURIComponent(id)}`

/** The answers of some routes tell what the provider was asked. */
type AnyTask = TaskJson & Partial<Pick<TaskDetailJson, 'questions'>>

async function show(io: CliIo, task: AnyTask, shown: Shown): Promise<number> {
  await writeAnswer(io, task, shown, describe)
  return EXIT_OK
}

const questionColumns: Columns<QuestionJson> = [
  time('ASKED', ({ at }) => at),
  text('WHAT', ({ kind }) => kind),
  text('BY', ({ by }) => by),
  count('TOOK', ({ duration_ms }) => shortDuration(duration_ms)),
  state('OUTCOME', ({ outcome }) => outcome),
  text('PROVIDER SAID', ({ provider_status }) => provider_status),
  main(text('ERROR', ({ error }) => error)),
]

function describe(task: AnyTask, view: View): string {
  const { questions = [] } = task
  return questions.length === 0
    ? headOf(task, view)
    : `${headOf(task, view)}\n${table(view, questionColumns, questions)}`
}

const headOf = (task: TaskJson, view: View): string =>
  fields(view, [
    ['uid', task.uid],
    ['source', task.source],
    ['task', task.task_id ?? undefined],
    ['status', stateCell(task.status)],
    ["provider's word", task.provider_status ?? undefined],
    ['resolved by', task.resolved_by ?? undefined],
    ['event', task.event_uid ?? undefined],
    ['created', timeIn(view, task.created_at)],
    ['ended', task.ended_at === null ? undefined : timeIn(view, task.ended_at)],
    ['stale at', task.ended_at === null ? timeIn(view, task.stale_at) : undefined],
    ['expires', task.ended_at === null ? timeIn(view, task.expires_at) : undefined],
    ['next poll', task.next_poll_at === null ? undefined : timeIn(view, task.next_poll_at)],
    ['polls', String(task.polls)],
    ['last error', task.last_error ?? undefined],
    ['metadata', task.metadata === null ? undefined : JSON.stringify(task.metadata)],
  ])

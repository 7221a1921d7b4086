import fc from 'fast-check'
import { expect } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { LeasedTask, NewTask, Task } from '../../src/domain/task.ts'
import { TASK_STATUSES } from '../../src/domain/task.ts'
import type { TaskFilter, TaskPostponement, TaskSubmission } from '../../src/domain/task-store.ts'
import { type ModelTask, shown } from './model-tasks.ts'
import { type Operation, operation, optional, type Run, source, taskEnd, taskId } from './operation.ts'
import { allPages, codeOf, newEvent, START_MS } from './store-samples.ts'

const leaseMs = fc.constantFrom(0, 10, 30, 1_000)
/** Counted from the last one back. */
const which = fc.nat({ max: 12 })
/** Of all leases ever given, or of those that still hold. */
const whichLease = fc.record({ at: fc.nat({ max: 5 }), isLive: fc.boolean() })

/** A task that is not there, or any more. */
const nobody = (): ModelTask => ({ given: { uid: newUid(), source: 'stripe' } }) as ModelTask
const taskAt = ({ model }: Run, at: number): ModelTask => model.tasks.all.at(-1 - at) ?? nobody()
function heldAt({ held }: Run, { at, isLive }: { at: number; isLive: boolean }): Run['held'][number] {
  const choice = isLive ? held.filter(({ task, lease }) => task.lease === lease) : held
  return choice.at(-1 - (at % Math.max(1, choice.length))) ?? { task: nobody(), lease: 'none' }
}

export function expectTask(task: Task | undefined, expected: ModelTask | undefined): void {
  const isTaken = expected?.lastError === 'taken'
  expect(task).toEqual(expected && { ...shown(expected), ...(isTaken && { lastError: expect.any(String) }) })
}

/** The task as its holder is given it. */
const leasedAs = (task: ModelTask, interrupted: boolean) => ({
  uid: task.given.uid,
  source: task.given.source,
  lease: expect.any(String),
  id: task.id,
  request: task.status === 'submitting' ? task.given.request : undefined,
  interrupted,
  createdAtMs: task.createdAtMs,
  staleAtMs: task.staleAtMs,
  expiresAtMs: task.expiresAtMs,
  failures: task.failures,
  lastError: task.lastError ?? undefined,
  providerStatus: task.word ?? undefined,
})

function take({ held }: Run, expected: readonly ModelTask[], answer: readonly LeasedTask[], was: WasLeased): void {
  expect(answer).toEqual(expected.map((task) => leasedAs(task, was.has(task))))
  for (const [at, task] of expected.entries()) {
    task.lease = answer[at]?.lease
    held.push({ task, lease: answer[at]?.lease ?? '' })
  }
}

type WasLeased = ReadonlySet<ModelTask>
const leased = ({ model }: Run): WasLeased => new Set(model.tasks.all.filter(({ lease }) => lease !== undefined))

const track = operation(
  'track',
  fc.tuple(
    fc.record({
      source,
      maxWaitMs: fc.constantFrom(0, 20, 200),
      deadlineMs: fc.constantFrom(10, 100, 2_000),
    }),
    fc.oneof(fc.record({ id: taskId }), fc.record({ request: fc.constantFrom('{}', '{"a":1}'), leaseMs })),
    optional<Pick<Required<NewTask>, 'idempotency'>>({
      idempotency: fc.record({ key: fc.constantFrom('k', 'l'), fingerprint: fc.constantFrom('f', 'f', 'g') }),
    }),
  ),
  async ([required, begins, optionals], { store, model, time: { nowMs }, held }) => {
    const task: NewTask = { uid: newUid(), ...required, ...begins, ...optionals }
    const expected = model.tasks.track(task, nowMs)
    if (expected === 'idempotency_mismatch') {
      expect(await codeOf(store.track(task))).toBe(expected)
      return
    }
    const tracked = await store.track(task)
    expect(tracked.created).toBe(expected.created)
    expectTask(tracked.task, expected.task)
    const isLeased = expected.created && task.id === undefined
    expect(tracked.leased).toEqual(isLeased ? leasedAs(expected.task, false) : undefined)
    if (tracked.leased === undefined) return
    const { lease } = tracked.leased
    expected.task.lease = lease
    held.push({ task: expected.task, lease })
  },
)

const appendAbout = operation(
  'appendAbout',
  fc.array(
    fc.tuple(
      fc.record({
        id: fc.nat({ max: 60 }).map(String),
        body: fc.constantFrom('x', 'x', 'y').map((text) => Buffer.from(text)),
        source,
        task: taskId,
        receivedAtMs: fc.constantFrom(-20, 0, 0, 10).map((ms) => START_MS + ms),
      }),
      fc.oneof({ weight: 1, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: fc.record({ taskEnd }) }),
      fc.option(which),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  async (given, run) => {
    const { store, model } = run
    const events = given.map(([required, end, at]) => {
      // Of any task, or of one that is there.
      const { id, given: known } = at === null ? nobody() : taskAt(run, at)
      return newEvent({ ...required, ...end, ...(id !== undefined && { task: id, source: known.source }) })
    })
    const receipts = await Promise.all(events.map((event) => store.append(event)))
    expect(receipts).toEqual(events.map((event) => model.append(event)))
  },
)

const answer = operation(
  'answer',
  fc.tuple(
    whichLease,
    fc.constantFrom('poll', 'expiry'),
    fc.oneof({ weight: 1, arbitrary: fc.constant({}) }, { weight: 5, arbitrary: fc.record({ taskEnd }) }),
    // Of other events too.
    optional<{ id: string }>({ id: fc.constantFrom('1', '2') }),
    optional<{ providerStatus: string; error: string }>({
      providerStatus: fc.constant('DONE'),
      error: fc.constant('gave up'),
    }),
  ),
  async ([at, by, end, id, said], run) => {
    const { task, lease } = heldAt(run, at)
    const { uid, source } = task.given
    const about = { source, task: task.id ?? uid, receivedAtMs: run.time.nowMs }
    const event = newEvent({ origin: 'poll', ...about, taskLease: { uid, lease, by, ...said }, ...end, ...id })
    expect(await run.store.append(event)).toEqual(run.model.append(event))
  },
)

const claimTasks = operation(
  'claimTasks',
  fc.record({
    source,
    staleLimit: fc.nat({ max: 3 }),
    expiredLimit: fc.nat({ max: 3 }),
    failedPlaces: fc.nat({ max: 2 }),
    leaseMs,
  }),
  async (claim, run) => {
    const was = leased(run)
    take(run, run.model.tasks.claim(claim, run.time.nowMs), await run.store.claimTasks(claim), was)
  },
)

const claimTask = operation('claimTask', fc.tuple(which, leaseMs), async ([at, ms], run) => {
  const was = leased(run)
  const task = taskAt(run, at)
  const expected = run.model.tasks.claimOne(task, ms, run.time.nowMs)
  const answered = await run.store.claimTask(task.given.uid, ms)
  take(run, expected === undefined ? [] : [expected], answered === undefined ? [] : [answered], was)
})

const postpone = operation(
  'postpone',
  fc.array(
    fc.tuple(
      whichLease,
      fc.constantFrom(-10, 0, 10, 300),
      optional<Pick<Required<TaskPostponement>, 'outcome'>>({
        outcome: fc.constantFrom(
          { providerStatus: 'queued' },
          { providerStatus: 'running' },
          { error: 'down' },
          { error: 'lost' },
        ),
      }),
    ),
    { maxLength: 3 },
  ),
  async (given, run) => {
    const postponements = given.map(([at, dueInMs, asked]) => {
      const { task, lease } = heldAt(run, at)
      const postponement = { uid: task.given.uid, lease, dueAtMs: run.time.nowMs + dueInMs, ...asked }
      return { task, postponement }
    })
    expect(await run.store.postpone(postponements.map(({ postponement }) => postponement))).toEqual(
      postponements.map(({ task, postponement }) => run.model.tasks.postpone(task, postponement)),
    )
  },
)

const submitted = operation(
  'submitted',
  fc.tuple(
    whichLease,
    fc.oneof<fc.MaybeWeightedArbitrary<TaskSubmission>[]>(
      { weight: 4, arbitrary: fc.record({ id: taskId }) },
      { weight: 1, arbitrary: fc.constant({ refused: 'no' }) },
    ),
  ),
  async ([at, submission], run) => {
    const { task, lease } = heldAt(run, at)
    const expected = run.model.tasks.submitted(task, lease, submission, run.time.nowMs)
    expectTask(await run.store.submitted(task.given.uid, lease, submission), expected)
  },
)

const cancelTask = operation('cancelTask', which, async (at, run) => {
  const task = taskAt(run, at)
  const expected = run.model.tasks.cancel(task, run.time.nowMs)
  expectTask(await run.store.cancelTask(task.given.uid), expected)
})

const pruneTasks = operation('pruneTasks', fc.constantFrom(-50, -1, 1), async (inMs, { store, model, time }) => {
  const before = time.nowMs + inMs
  expect(await store.pruneTasks(before, 1_000)).toBe(model.tasks.prune(before))
})

const listTasks = operation(
  'tasks',
  optional<Required<TaskFilter>>({
    source,
    status: fc.constantFrom(...TASK_STATUSES),
    staleAtMs: fc.constantFrom(START_MS, START_MS + 500, START_MS + 5_000),
  }),
  async (filter, { store, model }) => {
    const tasks = await allPages((page) => store.tasks(filter, page), 3)
    expect(tasks.map(({ uid }) => uid)).toEqual(model.tasks.list(filter).map(({ given }) => given.uid))
  },
)

const activity = operation('activity', source, async (name, { store, model }) => {
  expect(await store.activity(name, START_MS)).toEqual(model.activity(name, START_MS))
})

const pass = operation('pass', fc.constantFrom(1, 10, 50, 500), async (ms, run) => {
  run.time.nowMs += ms
})

export const randomTaskOperation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: track },
  { weight: 5, arbitrary: appendAbout },
  { weight: 4, arbitrary: answer },
  { weight: 4, arbitrary: claimTasks },
  { weight: 3, arbitrary: claimTask },
  { weight: 3, arbitrary: postpone },
  { weight: 4, arbitrary: submitted },
  { weight: 3, arbitrary: pass },
  { weight: 1, arbitrary: cancelTask },
  { weight: 1, arbitrary: pruneTasks },
  { weight: 1, arbitrary: listTasks },
  { weight: 1, arbitrary: activity },
)

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import { newUid } from '../../src/domain/names.ts'
import { TASK_STATUSES } from '../../src/domain/task.ts'
import { propertyParameters } from '../support/property.ts'
import { summaryOf } from './model-delivery.ts'
import { ModelStore } from './model-store.ts'
import type { Operation, Run } from './operation.ts'
import { compareJobs } from './replay-operations.ts'
import type { OpenEmptyStore } from './store-contract.ts'
import { randomOperation } from './store-operations.ts'
import { allPages, START_MS } from './store-samples.ts'
import { expectTask, randomTaskOperation } from './task-operations.ts'

/** Operations in each sequence. */
const MAX_OPERATIONS = 100

/** For one sequence, on a machine that is busy with others; it takes about a second. */
const SEQUENCE_LIMIT_MS = 60_000

export interface RandomSearch {
  readonly sequences: number
  /** After it no other sequence starts. */
  readonly limitMs: number
}

/** Any operations, in any order: the store answers as the model does, and holds what the model holds. */
export function describeRandomOperations(open: OpenEmptyStore, { sequences, limitMs }: RandomSearch): void {
  test.each([
    ['random operations', randomOperation],
    ['random operations on tasks', randomTaskOperation],
  ])('the store holds what the model holds after %s', { timeout: limitMs + 2 * SEQUENCE_LIMIT_MS }, async (_, each) => {
    await fc.assert(
      fc.asyncProperty(fc.array(each, { maxLength: MAX_OPERATIONS, size: 'max' }), async (operations) => {
        await runOperations(open, operations)
      }),
      propertyParameters({ runs: sequences, limitMs, runLimitMs: SEQUENCE_LIMIT_MS }),
    )
  })
}

async function runOperations(open: OpenEmptyStore, operations: readonly Operation[]): Promise<void> {
  const time = { nowMs: START_MS }
  const store = await open(() => time.nowMs)
  const run: Run = { store, model: new ModelStore(), time, claimed: [], held: [], jobs: [], ended: [] }
  store.onTaskEnded((ended) => run.ended.push(ended))
  try {
    for (const operation of operations) await operation.apply(run)
    await compare(run)
  } finally {
    await store.close()
  }
}

async function compare(run: Run): Promise<void> {
  const { store, model } = run
  const events = await allPages((page) => store.events({}, page), 7)
  expect(events.map(({ uid }) => uid)).toEqual(model.listEvents({}))
  for (const { given, status, reasons, deliveries } of model.events) {
    expect(await store.event(given.uid)).toMatchObject({
      id: given.id,
      status,
      reasons,
      deliveries: deliveries.map((delivery) => ({ ...summaryOf(delivery), history: delivery.history })),
    })
    expect(Buffer.from(await store.body(given.uid))).toEqual(Buffer.from(given.body))
  }
  expect(await store.event(newUid())).toBeUndefined()
  await compareTasks(run)
  await compareJobs(run)
  const expected = {
    deliveries: countsOf(
      DELIVERY_STATES,
      model.deliveries().map(({ state }) => state),
    ),
    tasks: countsOf(
      TASK_STATUSES,
      model.tasks.all.map(({ status }) => status),
    ),
  }
  await expect.poll(() => store.counts(), { timeout: 5_000 }).toMatchObject(expected)
}

async function compareTasks({ store, model, ended }: Run): Promise<void> {
  const tasks = await allPages((page) => store.tasks({}, page), 7)
  const expected = model.tasks.list({})
  expect(tasks).toHaveLength(expected.length)
  for (const [at, task] of expected.entries()) {
    expectTask(tasks[at], task)
    if (task.id !== undefined) expect(await store.task(task.given.source, task.id)).toEqual(tasks[at])
  }
  expect(ended).toEqual(model.tasks.ended)
}

const countsOf = <State extends string>(states: readonly State[], all: readonly State[]) =>
  Object.fromEntries(states.map((state) => [state, all.filter((each) => each === state).length]))

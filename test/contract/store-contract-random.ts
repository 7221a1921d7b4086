import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import { newUid } from '../../src/domain/uid.ts'
import { ModelStore, summaryOf } from './model-store.ts'
import type { OpenEmptyStore } from './store-contract.ts'
import { type Operation, type Run, randomOperation } from './store-operations.ts'
import { allPages, START_MS } from './store-samples.ts'

/** Sequences, and operations in each. */
const RUNS = 40
const MAX_OPERATIONS = 80

/** Whatever is done, in whatever order, the store answers as the model does and holds what the model holds. */
export function describeRandomOperations(open: OpenEmptyStore): void {
  test('random operations leave it as they leave the model', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(randomOperation, { maxLength: MAX_OPERATIONS, size: 'max' }), async (operations) => {
        await runOperations(open, operations)
      }),
      { numRuns: RUNS },
    )
  })
}

async function runOperations(open: OpenEmptyStore, operations: readonly Operation[]): Promise<void> {
  const time = { nowMs: START_MS }
  const store = await open(() => time.nowMs)
  const run: Run = { store, model: new ModelStore(), time, claimed: [] }
  try {
    for (const operation of operations) await operation.apply(run)
    await compare(run)
  } finally {
    await store.close()
  }
}

async function compare({ store, model }: Run): Promise<void> {
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
  const states = model.deliveries().map(({ state }) => state)
  const expected = Object.fromEntries(
    DELIVERY_STATES.map((state) => [state, states.filter((each) => each === state).length]),
  )
  await expect.poll(async () => (await store.counts()).deliveries, { timeout: 5_000 }).toEqual(expected)
  expect(await store.event(newUid())).toBeUndefined()
}

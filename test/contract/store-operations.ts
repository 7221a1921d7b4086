import fc from 'fast-check'
import { expect } from 'vitest'
import type { Settlement, TypeRoutes } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import type { Receipt } from '../../src/domain/event-store.ts'
import { newUid } from '../../src/domain/names.ts'
import { type OrderKeys, orderKeyFor } from '../../src/domain/order-key.ts'
import type { TaskEnd } from '../../src/domain/task.ts'
import { discard, discardOf } from './discard-operations.ts'
import { listDeliveries, listEvents } from './list-operations.ts'
import {
  CAUSES,
  HANDLERS,
  handlers,
  type Operation,
  operation,
  optional,
  orderKeys,
  origin,
  type Run,
  source,
  status,
  taskEnd,
  taskId,
  timeMs,
  type,
} from './operation.ts'
import { batchesOf, place, sparing } from './order-operations.ts'
import { pauseOrResume } from './pause-operations.ts'
import { replay, replayByJob } from './replay-operations.ts'
import { newEvent } from './store-samples.ts'
import { pass, prune } from './upkeep-operations.ts'

const JUDGEMENTS = ['schema 1', 'schema 2'] as const
const ROUTES: Omit<TypeRoutes, 'source'> = {
  accepts: ['invoice.*'],
  handlers: [
    { name: 'a', types: ['*'] },
    { name: 'b', types: ['invoice.paid'] },
  ],
}
const limit = fc.integer({ min: 0, max: 4 })

const leaseMs = fc.constantFrom(10, 30, 1_000)
const maxAttempts = fc.constantFrom(1, 2, 3)

/** With one length for all leases, or with one for each. */
const offer = fc.option(
  fc.record({
    handlers: fc.subarray([...HANDLERS]),
    leaseMs: fc.oneof(leaseMs, fc.array(leaseMs, { minLength: HANDLERS.length, maxLength: HANDLERS.length })),
  }),
  { nil: undefined },
)

const ownLimits = fc.option(
  fc
    .subarray([...HANDLERS])
    .chain((names) =>
      fc.tuple(...names.map((handler) => optional({ leaseMs, maxAttempts }).map((limits) => ({ handler, ...limits })))),
    ),
  { nil: undefined },
)

const append = operation(
  'append',
  fc.array(
    fc.tuple(
      offer,
      fc.record({
        id: fc.constantFrom('1', '2', '3', '4', '5', '6'),
        body: fc.constantFrom('x', 'y', 'z').map((text) => Buffer.from(text)),
        source,
        type,
        status,
        origin,
        receivedAtMs: timeMs,
        handlers,
      }),
      optional<{ task: string; taskEnd: TaskEnd; unjudged: readonly string[]; orderKeys: OrderKeys }>({
        task: taskId,
        taskEnd,
        unjudged: fc.subarray([...JUDGEMENTS]),
        orderKeys,
      }),
    ),
    { minLength: 1, maxLength: 5 },
  ),
  async (given, run) => {
    const events = given.map(([offered, required, optionals]) => {
      // As configured: of one source, all events or none.
      const dedupe = required.source === 'eu' ? ({ dedupe: 'body' } as const) : {}
      const lease = offered && {
        ...offered,
        handlers: offered.handlers
          .filter((name) => required.handlers.includes(name))
          .filter((name) => orderKeyFor(optionals.orderKeys, name) === null),
      }
      return newEvent({ ...required, ...optionals, ...dedupe, ...(lease !== undefined && { lease }) })
    })
    // Not awaited one by one: those that overlap may share a commit.
    const receipts = await Promise.all(events.map((event) => run.store.append(event)))
    for (const [at, event] of events.entries()) expectReceipt(run, event, receipts[at])
    await place(run)
  },
)

function expectReceipt({ model, time: { nowMs }, claimed }: Run, event: NewEvent, receipt: Receipt | undefined): void {
  const { leased = [], ...kept } = receipt ?? {}
  const expected = model.append(event, receipt?.uid)
  expect(kept).toEqual(expected)
  const deliveries = expected.outcome === 'accepted' ? model.lease(event, nowMs) : []
  expect(leased.map(({ handler }) => handler)).toEqual(deliveries.map(({ handler }) => handler))
  for (const [at, { deliveryId, lease }] of leased.entries()) {
    const delivery = deliveries[at]
    if (delivery === undefined) continue
    delivery.lease = lease
    claimed.push({ delivery, deliveryId, lease })
  }
}

const claim = operation(
  'claim',
  fc.record({
    handlers: handlers.chain((names) =>
      fc.tuple(...names.map((name) => fc.record({ name: fc.constant(name), limit, running: limit }))),
    ),
    sharedLimit: limit,
    isolatedLimit: limit,
    leaseMs,
    maxAttempts,
    ownLimits,
  }),
  async ({ ownLimits: own, ...given }, { store, model, time: { nowMs }, claimed }) => {
    const request = sparing({ ...given, ordered: true, ...(own !== undefined && { ownLimits: own }) }, model)
    const answer = await store.claim(request)
    const expected = model.claim(request, nowMs)
    expect(
      answer.work.map((work) => ({
        uid: work.event.uid,
        handler: work.handler,
        attempt: work.attempt,
        isolated: work.isolated,
        ordered: work.ordered === true,
      })),
    ).toEqual(
      expected.claimed.map(({ event, handler, attempts, isolated, orderKey }) => ({
        uid: event.given.uid,
        handler,
        attempt: attempts,
        isolated,
        ordered: orderKey !== null,
      })),
    )
    expect(answer.nextDueAtMs).toBe(expected.nextDueAtMs)
    for (const [at, { deliveryId, lease }] of answer.work.entries()) {
      const delivery = expected.claimed[at]
      if (delivery === undefined) continue
      delivery.lease = lease
      claimed.push({ delivery, deliveryId, lease })
    }
  },
)

const settle = operation(
  'settle',
  fc.array(
    fc.record({
      which: fc.nat({ max: 20 }),
      verdict: fc.constantFrom('succeeded', 'retry', 'dead', 'released', 'held'),
      outcome: fc.constantFrom('failed', 'timeout', 'process_lost'),
      isolate: fc.boolean(),
      dueInMs: fc.constantFrom(-10, 0, 10, 100),
      detail: fc.constantFrom(undefined, { name: 'Error', message: 'no', stack: ['at f (a.ts:1:2)'] }),
      answer: fc.constantFrom(undefined, { from: 'http://orders', status: 202, durationMs: 1 }),
      quarantine: fc.constantFrom(undefined, ['no'], ['why']),
      judgement: fc.constantFrom(...JUDGEMENTS),
      isRouted: fc.boolean(),
      causeId: fc.constantFrom(undefined, ...CAUSES),
    }),
    { maxLength: 4 },
  ),
  async (given, run) => {
    const { store, model, claimed } = run
    const { nowMs } = run.time
    const settlements = given.flatMap(
      ({ which, dueInMs, detail, answer, quarantine, judgement, isRouted, causeId, ...rest }) => {
        const known = claimed.at(-1 - which)
        if (known === undefined) return []
        const { deliveryId, lease, delivery } = known
        const times = { dueAtMs: nowMs + dueInMs, startedAtMs: nowMs, durationMs: 1 }
        const error = { ...(detail && { detail }), ...(answer && { answer }) }
        const refusal =
          rest.verdict === 'dead' && quarantine ? { quarantine, judgement, outcome: 'rejected' as const } : {}
        const cause = causeId && { id: causeId, signature: `error ${causeId}`, handler: delivery.handler }
        const caused = cause ? { cause: { ...cause, source: delivery.event.given.source } } : {}
        const hold = rest.verdict === 'held' ? { heldFor: delivery.event.given.source } : {}
        const routed = isRouted ? { routes: { ...ROUTES, source: delivery.event.given.source } } : {}
        return [
          {
            delivery,
            settlement: {
              deliveryId,
              lease,
              ...rest,
              ...error,
              ...times,
              ...refusal,
              ...routed,
              ...caused,
              ...hold,
            } satisfies Settlement,
          },
        ]
      },
    )
    for (const together of batchesOf(settlements)) {
      const answer = await store.settle(together.map(({ settlement }) => settlement))
      expect(answer).toEqual(
        together.map(({ delivery, settlement }) => model.settle(delivery, settlement.lease, settlement, nowMs)),
      )
      await place(run)
    }
  },
)

/** What runs, all of it or the last only, is found not to be as its schema says, after another event of its id has come, or not. */
const refuse = operation(
  'refuse',
  fc.record({
    most: fc.constantFrom(1, 5),
    judgement: fc.constantFrom(...JUDGEMENTS),
    corrected: fc.constantFrom(undefined, 'x', 'y', 'z', 'new'),
  }),
  async ({ most, judgement, corrected }, run) => {
    const { store, model, time, claimed } = run
    const { nowMs } = time
    const running = claimed.filter(({ delivery, lease }) => delivery.state === 'running' && delivery.lease === lease)
    const { taskLease: _, lease: __, ...last } = running.at(-1)?.delivery.event.given ?? newEvent()
    if (corrected !== undefined) {
      const event = { ...last, uid: newUid(), body: Buffer.from(corrected) }
      expectReceipt(run, event, await store.append(event))
      await place(run)
    }
    for (const { delivery, deliveryId, lease } of running.slice(-most)) {
      const settlement: Settlement = {
        deliveryId,
        lease,
        verdict: 'dead',
        outcome: 'rejected',
        isolate: false,
        quarantine: ['no'],
        judgement,
        routes: { ...ROUTES, source: delivery.event.given.source },
        dueAtMs: nowMs,
        startedAtMs: nowMs,
        durationMs: 1,
      }
      expect(await store.settle([settlement])).toEqual([model.settle(delivery, lease, settlement, nowMs)])
      await place(run)
    }
  },
)

export const randomOperation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: append },
  { weight: 5, arbitrary: claim },
  { weight: 4, arbitrary: settle },
  { weight: 3, arbitrary: refuse },
  { weight: 3, arbitrary: pass },
  { weight: 2, arbitrary: replay },
  { weight: 2, arbitrary: replayByJob },
  { weight: 1, arbitrary: discard },
  { weight: 1, arbitrary: discardOf },
  { weight: 1, arbitrary: prune },
  { weight: 2, arbitrary: pauseOrResume },
  { weight: 1, arbitrary: listEvents },
  { weight: 1, arbitrary: listDeliveries },
)

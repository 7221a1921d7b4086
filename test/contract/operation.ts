import fc from 'fast-check'
import type { OrderKeys } from '../../src/domain/order-key.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { EndedTask } from '../../src/domain/task.ts'
import type { ModelDelivery, ModelReplayJob } from './model-delivery.ts'
import type { ModelStore } from './model-store.ts'
import type { ModelTask } from './model-tasks.ts'
import { START_MS } from './store-samples.ts'

/** One sequence on its way: the store, the model, and what was claimed in both. */
export interface Run {
  readonly store: OpenStore
  readonly model: ModelStore
  /** What both take for the time. */
  readonly time: { nowMs: number }
  readonly claimed: { readonly delivery: ModelDelivery; readonly deliveryId: number; readonly lease: string }[]
  /** Every lease of a task that was given; most are gone. */
  readonly held: { readonly task: ModelTask; readonly lease: string }[]
  /** Replays of many events, which have ended. */
  readonly jobs: ModelReplayJob[]
  /** The tasks whose end the store has reported. */
  readonly ended: EndedTask[]
}

/** An operation that is done to both, and whose answers are compared. */
export interface Operation {
  apply(run: Run): Promise<void>
  toString(): string
}

export const operation = <Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  apply: (args: Args, run: Run) => Promise<void>,
): fc.Arbitrary<Operation> =>
  args.map((given) => ({
    apply: (run) => apply(given, run),
    toString: () => `${name}(${fc.stringify(given)})`,
  }))

/** Each field present or absent. */
export const optional = <Fields extends object>(fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> }) =>
  fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<Partial<Fields>>

export const source = fc.constantFrom('stripe', 'eu')
/** Few, so that tasks and events meet. */
export const taskId = fc.integer({ min: 1, max: 8 }).map((n) => `task_${n}`)
export const taskEnd = fc.constantFrom(
  { status: 'completed', word: 'succeeded' } as const,
  { status: 'failed', word: 'errored' } as const,
)

export const CAUSES = ['c1', 'c2'] as const
export const HANDLERS = ['a', 'b', 'c'] as const
export const handlers = fc.uniqueArray(fc.constantFrom(...HANDLERS))
/** Few keys, so that deliveries wait for each other. */
export const orderKeys: fc.Arbitrary<OrderKeys> = fc.dictionary(fc.constantFrom(...HANDLERS), fc.constantFrom(1, 2))
export const type = fc.constantFrom('invoice.paid', 'invoice.created', 'charge')
export const status = fc.constantFrom('accepted', 'unhandled', 'quarantined')
export const origin = fc.constantFrom('webhook', 'poll', 'cli')
export const timeMs = fc.integer({ min: -5, max: 5 }).map((tens) => START_MS + tens * 10)

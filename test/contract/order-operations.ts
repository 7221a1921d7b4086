import { expect } from 'vitest'
import type { Settlement } from '../../src/domain/delivery.ts'
import type { ClaimRequest } from '../../src/domain/delivery-queue.ts'
import { limitsOf, type ModelDelivery } from './model-delivery.ts'
import type { ModelStore } from './model-store.ts'
import type { Run } from './operation.ts'

/** What random operations have to mind with deliveries that have an order key. */

/**
 * PostgreSQL decides at the next claim which of the new deliveries with an order key may run, and the model does so at once: a
 * claim that leases nothing makes them agree.
 */
export async function place({ store, model, time: { nowMs } }: Run): Promise<void> {
  if (model.deliveries().every(({ orderKey }) => orderKey === null)) return
  const nothing = { handlers: [], sharedLimit: 0, isolatedLimit: 0, leaseMs: 1, maxAttempts: 1_000, ordered: true }
  expect((await store.claim(nothing)).nextDueAtMs).toBe(model.claim(nothing, nowMs).nextDueAtMs)
}

/**
 * The request; with more attempts, if there is a delivery in an order that has used its attempts. It may be settled, or not, before
 * the claim that finds it leases the one behind it.
 */
export function sparing(request: ClaimRequest, model: ModelStore): ClaimRequest {
  const isUsedUp = model.deliveries().some((delivery) => {
    const { orderKey, isBlocked, state, attempts } = delivery
    return orderKey !== null && !isBlocked && state === 'pending' && attempts >= limitsOf(request, delivery).maxAttempts
  })
  if (!isUsedUp) return request
  const { ownLimits: _, ...rest } = request
  return { ...rest, maxAttempts: 1_000 }
}

export interface GivenSettlement {
  readonly delivery: ModelDelivery
  readonly settlement: Settlement
}

/** One by one where another event may take over an id and comes into an order whose head ends in the same call. */
export const batchesOf = (settlements: readonly GivenSettlement[]): readonly (readonly GivenSettlement[])[] =>
  settlements.some(({ delivery }) => delivery.orderKey !== null) &&
  settlements.some(({ settlement }) => settlement.routes !== undefined)
    ? settlements.map((each) => [each])
    : [settlements]

import { expect } from 'vitest'
import type { DeadFilter, DeadPosition } from '../../src/domain/dead-letters.ts'
import type { Settlement, Work } from '../../src/domain/delivery.ts'
import type { ClaimRequest } from '../../src/domain/delivery-queue.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Page } from '../../src/domain/page.ts'
import type { OpenStore } from '../../src/domain/store.ts'

/** The tests' beginning of time. */
export const START_MS = Date.parse('2026-11-23T10:00:00.000Z')

let made = 0

/** An event with an id of its own and one handler, `a`. */
export function newEvent(given: Partial<NewEvent> = {}): NewEvent {
  const id = `evt_${++made}`
  return {
    uid: newUid(),
    source: 'stripe',
    provider: 'stripe',
    id,
    type: 'invoice.paid',
    createdAt: '2026-11-23T09:59:59Z',
    createdAtSource: 'provider',
    receivedAtMs: START_MS,
    origin: 'webhook',
    status: 'accepted',
    reasons: [],
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(`{"id":"${given.id ?? id}"}`),
    handlers: ['a'],
    ...given,
  }
}

export const claimRequest = (given: Partial<ClaimRequest> = {}): ClaimRequest => ({
  handlers: [{ name: 'a', limit: 100 }],
  sharedLimit: 100,
  isolatedLimit: 100,
  leaseMs: 30_000,
  maxAttempts: 5,
  ...given,
})

export const settlement = (
  { deliveryId, lease }: Pick<Work, 'deliveryId' | 'lease'>,
  given: Partial<Settlement> = {},
): Settlement => ({
  deliveryId,
  lease,
  verdict: 'succeeded',
  outcome: 'succeeded',
  isolate: false,
  dueAtMs: START_MS,
  startedAtMs: START_MS,
  durationMs: 12,
  ...given,
})

/** Claims exactly one delivery. */
export async function claimOne(store: OpenStore, given: Partial<ClaimRequest> = {}): Promise<Work> {
  const { work } = await store.claim(claimRequest({ sharedLimit: 1, isolatedLimit: 1, ...given }))
  const [only, ...others] = work
  if (only === undefined || others.length > 0) throw new Error(`one delivery was expected, ${work.length} were claimed`)
  return only
}

/** All items of a list, page by page. Ends, or the store's cursors do not. */
export async function allPages<Item>(
  fetch: (page: { limit: number; cursor?: string }) => Promise<Page<Item>>,
  limit = 50,
): Promise<readonly Item[]> {
  const items: Item[] = []
  let cursor: string | undefined
  do {
    const page = await fetch({ limit, ...(cursor !== undefined && { cursor }) })
    if (page.items.length > limit) throw new Error(`a page of ${page.items.length} where ${limit} were asked for`)
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return items
}

/** Says that a list gives what is expected for each filter, in each of the ways in which it is read; names every filter for which it does not. */
export async function expectAll<Filter>(
  cases: readonly (readonly [Filter, readonly unknown[]])[],
  read: (filter: Filter) => Promise<readonly unknown[]>,
): Promise<void> {
  for (const [filter, expected] of cases)
    for (const found of await read(filter)) expect.soft(found, JSON.stringify(filter)).toEqual(expected)
}

export const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'it resolved',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )

/** Events forgotten in one step, or in a walk of such steps, whose dead deliveries are kept no longer than others. */
export async function pruned(store: OpenStore, beforeMs: number, limit = 100): Promise<number> {
  const { events } = await store.prune({ receivedBeforeMs: beforeMs, deadReceivedBeforeMs: beforeMs, limit })
  return events
}

/** How many dead deliveries a walk in steps discards. Ends, or the store's positions do not. */
export async function discarded(store: OpenStore, filter: DeadFilter, limit = 100): Promise<number> {
  let count = 0
  let from: DeadPosition | undefined
  do {
    const step = await store.discard({ filter, limit, ...(from !== undefined && { from }) })
    if (step.discarded > limit) throw new Error(`a step discarded ${step.discarded} where ${limit} were asked for`)
    count += step.discarded
    from = step.next
  } while (from !== undefined)
  return count
}

import fc from 'fast-check'
import { expect } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import type { DeliveryFilter } from '../../src/domain/delivery-queue.ts'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import { newUid } from '../../src/domain/names.ts'
import { EVENT_OUTCOMES } from '../../src/domain/outcome.ts'
import { CAUSES, HANDLERS, operation, optional, origin, source, status, taskId, timeMs, type } from './operation.ts'
import { allPages } from './store-samples.ts'

export const listEvents = operation(
  'events',
  optional<Required<Omit<EventFilter, 'contains' | 'match'>>>({
    source,
    type: fc.oneof(type, fc.constantFrom('*', 'invoice.*', '*e*', 'x*')),
    status: fc.oneof(status, fc.constantFrom('conflict', 'superseded')),
    outcome: fc.constantFrom(...EVENT_OUTCOMES),
    origin,
    task: taskId,
    sinceMs: timeMs,
    untilMs: timeMs,
    q: fc.constantFrom('INVOICE', 'k_1', '3', ''),
  }),
  async (filter, { store, model }) => {
    const events = await allPages((page) => store.events(filter, page), 3)
    expect(events.map(({ uid }) => uid)).toEqual(model.listEvents(filter))
  },
)

export const listDeliveries = operation(
  'deliveries',
  fc.tuple(
    optional<Pick<Required<DeliveryFilter>, 'state' | 'handler' | 'source' | 'cause'>>({
      state: fc.constantFrom(...DELIVERY_STATES),
      handler: fc.constantFrom(...HANDLERS),
      source,
      cause: fc.constantFrom(...CAUSES, 'other'),
    }),
    fc.option(fc.nat({ max: 10 })),
  ),
  async ([rest, which], { store, model }) => {
    const eventUid = which === null ? undefined : (model.events.at(which)?.given.uid ?? newUid())
    const filter: DeliveryFilter = { ...rest, ...(eventUid !== undefined && { eventUid }) }
    const deliveries = await allPages((page) => store.deliveries(filter, page), 3)
    const expected = model.listDeliveries(filter)
    expect(deliveries).toHaveLength(expected.length)
    expect(deliveries).toMatchObject(expected)
  },
)

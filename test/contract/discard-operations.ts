import fc from 'fast-check'
import { expect } from 'vitest'
import type { DeadFilter } from '../../src/domain/dead-letters.ts'
import { newUid } from '../../src/domain/names.ts'
import { CAUSES, HANDLERS, operation, optional, origin, source, status, timeMs, type } from './operation.ts'
import { codeOf, discarded } from './store-samples.ts'

/** By filter, in steps of any size; before it, the store tells what it will be. */
export const discard = operation(
  'discard',
  fc.tuple(
    optional<Omit<Required<DeadFilter>, 'task'>>({
      source,
      type: fc.oneof(type, fc.constantFrom('*', 'invoice.*')),
      status,
      origin,
      sinceMs: timeMs,
      untilMs: timeMs,
      q: fc.constantFrom('INVOICE', '3', ''),
      handler: fc.constantFrom(...HANDLERS),
      cause: fc.constantFrom(...CAUSES, 'other'),
    }),
    fc.integer({ min: 1, max: 3 }),
  ),
  async ([filter, limit], { store, model, time: { nowMs } }) => {
    const told = await store.matchDead(filter, 2)
    const expected = model.discard(filter, nowMs)
    expect(told).toMatchObject({ count: expected.length, more: false })
    expect(told.sample).toHaveLength(Math.min(2, expected.length))
    expect(await discarded(store, filter, limit)).toBe(expected.length)
  },
)

/** Of one event, with all its handlers or one, which it may not have. */
export const discardOf = operation(
  'discardOf',
  fc.tuple(fc.nat({ max: 10 }), fc.option(fc.constantFrom(...HANDLERS), { nil: undefined })),
  async ([which, handler], { store, model, time: { nowMs } }) => {
    const event = model.events.at(which)
    const eventUid = event?.given.uid ?? newUid()
    const discarding = store.discardOf(eventUid, handler)
    if (event === undefined) expect(await codeOf(discarding)).toBe('event_not_found')
    else if (handler !== undefined && event.deliveries.every((each) => each.handler !== handler))
      expect(await codeOf(discarding)).toBe('handler_not_found')
    else {
      const expected = model.discard({ eventUid, ...(handler !== undefined && { handler }) }, nowMs)
      expect(await discarding).toEqual(expected.map((each) => each.handler))
    }
  },
)

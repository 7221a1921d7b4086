import { describe, expect, test } from 'vitest'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import { newUid } from '../../src/domain/names.ts'
import type { EventOutcome } from '../../src/domain/outcome.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimRequest, codeOf, expectAll, newEvent, START_MS, settlement } from './store-samples.ts'

const BOTH = { handlers: ['a', 'b'].map((name) => ({ name, limit: 100 })) }

/** What each event of the tests has become, by the ends of its deliveries to `a` and `b`. */
const FATES = [
  { id: 'fine', a: 'succeeded', b: 'succeeded', outcome: 'succeeded' },
  { id: 'half', a: 'succeeded', b: undefined, outcome: 'pending' },
  { id: 'again', a: 'succeeded', b: 'retry', outcome: 'failing' },
  { id: 'lost', a: 'retry', b: 'dead', outcome: 'dead' },
  { id: 'given back', a: 'released', b: 'released', outcome: 'pending' },
  { id: 'lost too', a: 'dead', b: 'succeeded', outcome: 'dead' },
  { id: 'unwanted', a: undefined, b: undefined, outcome: 'none' },
] as const

export function describeOutcomes(fixture: Fixture): void {
  describeOutcome(fixture)
  describeNames(fixture)
}

function describeNames({ store }: Fixture): void {
  test('`namesWith` gives the sources and the types of stored events that begin so', async () => {
    expect(await store().facets.namesWith('source', '')).toEqual([])
    for (const [source, type] of [
      ['stripe', 'invoice.paid'],
      ['stripe', 'invoice.created'],
      ['stripe', 'charge'],
      ['stripe-eu', 'invoice.paid'],
      ['eu', 'Ärger'],
    ] as const)
      await store().append(newEvent({ source, type }))
    const names = (field: 'source' | 'type', prefix: string) => store().facets.namesWith(field, prefix)
    expect(await names('source', '')).toEqual(['eu', 'stripe', 'stripe-eu'])
    expect(await names('source', 'stripe')).toEqual(['stripe', 'stripe-eu'])
    expect(await names('type', '')).toEqual(['charge', 'invoice.created', 'invoice.paid', 'Ärger'])
    expect(await names('type', 'inv')).toEqual(['invoice.created', 'invoice.paid'])
    expect(await names('type', 'Ä')).toEqual(['Ärger'])
    expect(await names('type', 'x')).toEqual([])
    for (let n = 10; n < 40; n++) await store().append(newEvent({ type: `many.${n}` }))
    expect(await names('type', 'many')).toHaveLength(20)
  })
}

function describeOutcome({ store, pass }: Fixture): void {
  async function fill(): Promise<void> {
    for (const [at, { id, outcome }] of FATES.entries()) {
      const handlers = outcome === 'none' ? [] : ['a', 'b']
      const source = at % 2 === 0 ? 'stripe' : 'eu'
      // The fourth came under a clock that was behind.
      const receivedAtMs = START_MS + at * 10 - (at === 3 ? 1_000 : 0)
      await store().append(
        newEvent({ id, source, handlers, receivedAtMs, ...(outcome === 'none' && { status: 'unhandled' }) }),
      )
    }
    pass(1_000)
    const { work } = await store().claim(claimRequest(BOTH))
    const ends = work.flatMap((each) => {
      const verdict = FATES.find(({ id }) => id === each.event.id)?.[each.handler as 'a' | 'b']
      const outcome = verdict === 'succeeded' || verdict === 'released' ? verdict : 'failed'
      return verdict === undefined ? [] : [settlement(each, { verdict, outcome, dueAtMs: START_MS + 60_000 })]
    })
    await store().settle(ends)
  }

  const listed = async (filter: EventFilter, limit: number) =>
    (await allPages((page) => store().events(filter, page), limit)).map(({ id }) => id)
  const idsOf = (outcome: EventOutcome) => FATES.filter((fate) => fate.outcome === outcome).map(({ id }) => id)

  describe('the outcome of an event', () => {
    test('follows from its deliveries, in the list and alone', async () => {
      await fill()
      const { items } = await store().events({}, { limit: 50 })
      expect(Object.fromEntries(items.map(({ id, outcome }) => [id, outcome]))).toEqual(
        Object.fromEntries(FATES.map(({ id, outcome }) => [id, outcome])),
      )
      for (const { uid, outcome } of items) expect(await store().event(uid)).toMatchObject({ outcome })
    })

    test('stands beside the deliveries of the events of a page, which are read together', async () => {
      await fill()
      const { items } = await store().events({}, { limit: 50 })
      const found = await store().facets.deliveriesOf(items.map(({ uid }) => uid))
      for (const { uid } of items) {
        const alone = (await store().event(uid))?.deliveries.map(({ history: _, cause: __, ...delivery }) => delivery)
        expect(found.filter(({ eventUid }) => eventUid === uid)).toEqual(alone)
      }
      expect(await store().facets.deliveriesOf([newUid()])).toEqual([])
    })

    test('filters the list, the last to arrive first', async () => {
      await fill()
      for (const outcome of ['succeeded', 'pending', 'failing', 'dead', 'discarded', 'none'] as const)
        for (const limit of [1, 50]) expect(await listed({ outcome }, limit)).toEqual(idsOf(outcome).toReversed())
    })

    const cases: readonly [EventFilter, readonly string[]][] = [
      [{ outcome: 'dead', source: 'eu' }, ['lost too', 'lost']],
      [{ outcome: 'dead', source: 'stripe' }, []],
      [{ outcome: 'dead', q: 'TOO' }, ['lost too']],
      [{ outcome: 'dead', type: 'invoice.*' }, ['lost too', 'lost']],
      [{ outcome: 'dead', sinceMs: START_MS }, ['lost too']],
      [{ outcome: 'dead', untilMs: START_MS }, ['lost']],
      [{ outcome: 'dead', sinceMs: START_MS + 30, untilMs: START_MS + 50 }, []],
      [{ outcome: 'dead', sinceMs: START_MS + 900_000 }, []],
      [{ outcome: 'pending', source: 'stripe' }, ['given back']],
      [{ outcome: 'pending', untilMs: START_MS + 40 }, ['half']],
      [{ outcome: 'failing', status: 'unhandled' }, []],
      [{ outcome: 'none', status: 'unhandled', source: 'stripe' }, ['unwanted']],
      [{ outcome: 'succeeded', source: 'stripe', type: 'invoice.paid' }, ['fine']],
      [{ outcome: 'succeeded', source: 'eu', type: 'invoice.paid' }, []],
    ]
    test('gives the events that match the rest of the filter too', async () => {
      await fill()
      await expectAll(cases, async (filter) => [await listed(filter, 1), await listed(filter, 50)])
    })

    test('changes with a replay', async () => {
      await fill()
      const [dead] = (await store().events({ outcome: 'dead' }, { limit: 1 })).items
      await store().replay({ eventUid: dead?.uid ?? '', handlers: ['a'], status: 'accepted', reasons: [] })
      expect(await store().event(dead?.uid ?? '')).toMatchObject({ outcome: 'pending' })
      expect(await listed({ outcome: 'dead' }, 9)).toEqual(['lost'])
    })

    test('is counted, for each outcome, of the events of a filter', async () => {
      await fill()
      const of = async (filter: EventFilter) => {
        const counts = Object.entries(await store().facets.countByOutcome(filter))
        expect(counts.every(([, { more }]) => !more)).toBe(true)
        return Object.fromEntries(counts.map(([outcome, { count }]) => [outcome, count]))
      }
      expect(await of({})).toEqual({ succeeded: 1, pending: 2, failing: 1, dead: 2, discarded: 0, none: 1 })
      expect(await of({ source: 'eu', sinceMs: START_MS })).toEqual({
        succeeded: 0,
        pending: 1,
        failing: 0,
        dead: 1,
        discarded: 0,
        none: 0,
      })
      expect(await codeOf(store().facets.countByOutcome({ contains: 'a' }))).toBe('invalid_request')
    })

    test('has cursors of its own, which the list by time refuses', async () => {
      await fill()
      const { nextCursor: cursor = '' } = await store().events({ outcome: 'dead' }, { limit: 1 })
      expect(await codeOf(store().events({}, { limit: 1, cursor }))).toBe('invalid_request')
      const byTime = await store().events({}, { limit: 1 })
      expect(await codeOf(store().events({ outcome: 'dead' }, { limit: 1, cursor: byTime.nextCursor ?? '' }))).toBe(
        'invalid_request',
      )
    })
  })
}

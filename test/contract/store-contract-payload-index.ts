import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import { indexedValues } from '../../src/domain/payload-index.ts'
import { parseMatch } from '../../src/domain/payload-match.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, newEvent, pruned, START_MS } from './store-samples.ts'

const PATHS = ['customer', 'lines.id']

export function describePayloadIndex({ store }: Fixture): void {
  const keep = (...sources: readonly string[]) =>
    store().payloadIndex.keepPaths(sources.flatMap((source) => PATHS.map((path) => ({ source, path }))))

  const append = async (
    id: string,
    body: string,
    { isIndexed = true, ...given }: Partial<NewEvent> & { isIndexed?: boolean } = {},
  ) => {
    const bytes = Buffer.from(body)
    const indexed = isIndexed ? { indexed: indexedValues(PATHS, bytes, 'application/json') } : {}
    await store().append(newEvent({ id, body: bytes, ...indexed, ...given }))
  }
  const found = async (condition: string, filter: EventFilter = { source: 'stripe' }) => {
    const match = [parseMatch(condition)]
    const all = await allPages((page) => store().events({ ...filter, match }, page), 50)
    const singly = await allPages((page) => store().events({ ...filter, match }, page), 1)
    expect(singly).toEqual(all)
    return all.map(({ id }) => id)
  }
  async function indexAll(): Promise<void> {
    for (let steps = 0; await store().payloadIndex.indexStep(); steps++) expect(steps).toBeLessThan(1_000)
  }

  describe('the index of values in payloads', () => {
    test('has the events that are stored after a path is kept, and a search reads the events before', async () => {
      await append('before', '{"customer":"c1"}', { isIndexed: false })
      await keep('stripe')
      await append('after', '{"customer":"c1","lines":[{"id":"l1"},{"id":"l2"}]}')
      await append('other', '{"customer":"c2"}')
      expect(await found('customer:c1')).toEqual(['after', 'before'])
      expect(await found('lines.id:l2')).toEqual(['after'])
      expect(await found('customer:c3')).toEqual([])
      await indexAll()
      expect(await store().payloadIndex.indexedPaths()).toEqual(
        PATHS.map((path) => ({ source: 'stripe', path, share: 1 })),
      )
      expect(await found('customer:c1')).toEqual(['after', 'before'])
      expect(await found('customer:c1', {})).toEqual(['after', 'before'])
    })

    test('is used with all other filters', async () => {
      await keep('stripe')
      await indexAll()
      await append('one', '{"customer":"c1","name":"Müller"}', { receivedAtMs: START_MS })
      await append('two', '{"customer":"c1","name":"Meier"}', { receivedAtMs: START_MS + 10, type: 'charge' })
      await append('three', '{"customer":"c1"}', { receivedAtMs: START_MS + 20, status: 'unhandled', handlers: [] })
      const source = 'stripe'
      expect(await found('customer:c1')).toEqual(['three', 'two', 'one'])
      expect(await found('customer:c1', { source, contains: 'MÜLLER' })).toEqual(['one'])
      expect(await found('customer:c1', { source, type: 'charge' })).toEqual(['two'])
      expect(await found('customer:c1', { source, sinceMs: START_MS + 5, untilMs: START_MS + 20 })).toEqual(['two'])
      expect(await found('customer:c1', { source, outcome: 'none' })).toEqual(['three'])
      expect(await found('name:Meier', { source })).toEqual(['two'])
    })

    test('finds events with too many values, and long ones, by reading them', async () => {
      await keep('stripe')
      await indexAll()
      const lines = Array.from({ length: 40 }, (_, at) => ({ id: `l${at}` }))
      await append('many', JSON.stringify({ customer: 'c1', lines }))
      await append('long', JSON.stringify({ customer: 'c1', text: 'x'.repeat(300_000) }))
      expect(await found('lines.id:l39')).toEqual(['many'])
      expect(await found('lines.id:l40')).toEqual([])
      expect(await found('customer:c1')).toEqual(['long', 'many'])
    })

    test('finds long events that were stored before by reading them', async () => {
      await append('long', JSON.stringify({ customer: 'c1', text: 'x'.repeat(300_000) }), { isIndexed: false })
      await append('other', JSON.stringify({ customer: 'c2', text: 'x'.repeat(300_000) }), { isIndexed: false })
      await keep('stripe')
      await indexAll()
      expect(await found('customer:c1')).toEqual(['long'])
    })

    test('is left alone where a source without the path has events, and the search reads those too', async () => {
      await keep('stripe')
      await indexAll()
      await append('mine', '{"customer":"c1"}')
      await append('theirs', '{"customer":"c1"}', { source: 'eu', isIndexed: false, receivedAtMs: START_MS + 1 })
      expect(await found('customer:c1', {})).toEqual(['theirs', 'mine'])
      expect(await found('customer:c1', { source: 'eu' })).toEqual(['theirs'])
      expect(await found('customer:c1')).toEqual(['mine'])
    })

    test('misses no event that came while its path was not kept', async () => {
      await keep('stripe')
      await indexAll()
      await append('first', '{"customer":"c1"}')
      await keep()
      expect(await store().payloadIndex.indexedPaths()).toEqual([])
      await append('second', '{"customer":"c1"}', { isIndexed: false })
      await keep('stripe')
      await append('third', '{"customer":"c1"}')
      expect(await found('customer:c1')).toEqual(['third', 'second', 'first'])
      await indexAll()
      expect(await found('customer:c1')).toEqual(['third', 'second', 'first'])
    })

    test('has a value of an event once, also where it came before and is a duplicate', async () => {
      await keep('stripe')
      const twice = newEvent({ id: 'twice', body: Buffer.from('{"customer":["c1","c1"]}') })
      const indexed = indexedValues(PATHS, twice.body, undefined)
      expect(indexed).toEqual([['customer', 'c1']])
      await store().append({ ...twice, indexed })
      expect(await store().append({ ...newEvent({ ...twice, uid: newEvent().uid }), indexed })).toMatchObject({
        outcome: 'duplicate',
      })
      await indexAll()
      expect(await found('customer:c1')).toEqual(['twice'])
    })

    test('forgets the values of events that retention deletes', async () => {
      await keep('stripe')
      await append('old', '{"customer":"c1"}', { receivedAtMs: START_MS - 900_000_000, handlers: [] })
      await append('new', '{"customer":"c1"}')
      await append('newest', '{"customer":"c1"}', { receivedAtMs: START_MS + 1 })
      expect(await pruned(store(), START_MS - 800_000_000)).toBe(1)
      await indexAll()
      expect(await found('customer:c1')).toEqual(['newest', 'new'])
    })
  })
}

import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import { parseMatch } from '../../src/domain/payload-match.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimRequest, codeOf, expectAll, newEvent, START_MS, settlement } from './store-samples.ts'

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const EVENTS: readonly (Partial<NewEvent> & { readonly id: string; readonly body: Buffer })[] = [
  { id: 'one', body: Buffer.from('{"name":"MÜLLER","customer":"cus_1","amount":9007199254740993}') },
  { id: 'two', body: Buffer.from('{"name":"M\\u00fcller","customer":"cus_2","tags":["a","b"]}'), source: 'eu' },
  { id: 'three', body: Buffer.from([0xff, 0x00, ...Buffer.from('müller')]), status: 'quarantined' },
  { id: 'four', body: Buffer.from('customer=cus_1&name=M%C3%BCller'), headers: FORM, source: 'eu' },
  { id: 'five', body: Buffer.from('{}'), headers: { 'content-type': 'application/json', 'x-who': 'Müller, "Ö"' } },
  { id: 'six', body: Buffer.from('{"customer":"cus_10"}') },
]

export function describeScans({ store, pass }: Fixture): void {
  async function fill(): Promise<void> {
    for (const [at, event] of EVENTS.entries())
      await store().append(
        newEvent({
          receivedAtMs: START_MS + at * 10,
          ...event,
          ...(event.status === 'quarantined' && { handlers: [] }),
        }),
      )
  }
  const listed = async (filter: EventFilter, limit: number) =>
    (await allPages((page) => store().events(filter, page), limit)).map(({ id }) => id)
  const match = (...conditions: readonly string[]): EventFilter => ({ match: conditions.map(parseMatch) })

  describe('a search in payloads', () => {
    const cases: readonly [EventFilter, readonly string[]][] = [
      [{ contains: 'müller' }, ['five', 'four', 'three', 'two', 'one']],
      [{ contains: 'MÜLLER', source: 'eu' }, ['four', 'two']],
      [{ contains: 'müller', status: 'quarantined' }, ['three']],
      [{ contains: 'müller', sinceMs: START_MS + 10, untilMs: START_MS + 30 }, ['three', 'two']],
      [{ contains: 'cus_1' }, ['six', 'four', 'one']],
      [{ contains: 'x-who: m' }, ['five']],
      [{ contains: '"ö"' }, ['five']],
      [{ contains: 'nowhere' }, []],
      [{ contains: 'müller', type: 'invoice.*', q: 'ONE' }, ['one']],
      [match('customer:cus_1'), ['four', 'one']],
      [match('amount:9007199254740993'), ['one']],
      [match('amount:9007199254740992'), []],
      [match('tags:b'), ['two']],
      [match('tags.0:b'), []],
      [match('customer:cus_1', 'name:Müller'), ['four']],
      [{ ...match('customer:cus_1'), contains: 'müller', source: 'stripe' }, ['one']],
    ]
    test('finds the events that match its filter, newest first', async () => {
      await fill()
      await expectAll(cases, async (filter) => [await listed(filter, 1), await listed(filter, 50)])
    })

    test('is one with the outcome of events', async () => {
      await fill()
      pass(1_000)
      const { work } = await store().claim(claimRequest())
      const dead = work.filter(({ event }) => ['one', 'two', 'six'].includes(event.id))
      await store().settle(dead.map((each) => settlement(each, { verdict: 'dead', outcome: 'rejected' })))
      for (const limit of [1, 50]) {
        expect(await listed({ outcome: 'dead', contains: 'müller' }, limit)).toEqual(['two', 'one'])
        expect(await listed({ outcome: 'dead', ...match('customer:cus_1') }, limit)).toEqual(['one'])
        expect(await listed({ outcome: 'pending', contains: 'müller' }, limit)).toEqual(['five', 'four'])
        expect(await listed({ outcome: 'none', contains: 'müller' }, limit)).toEqual(['three'])
        expect(await listed({ outcome: 'dead', contains: 'müller', sinceMs: START_MS + 5 }, limit)).toEqual(['two'])
      }
    })

    test('says nothing of a scan that has read all', async () => {
      await fill()
      expect(await store().events({ contains: 'nowhere' }, { limit: 5 })).toEqual({ items: [], nextCursor: undefined })
    })

    test('reads an empty body, and one of several MiB', async () => {
      const long = Buffer.concat([Buffer.alloc(3_000_000, '{"a":"b"} '), Buffer.from('the END')])
      await store().append(newEvent({ id: 'long', body: long }))
      await store().append(newEvent({ id: 'empty', body: Buffer.alloc(0) }))
      expect(await listed({ contains: 'The end' }, 5)).toEqual(['long'])
    })

    test('for nothing, for too long a text or by too many conditions is invalid_request', async () => {
      const conditions = Array.from({ length: 9 }, () => 'a:b')
      for (const filter of [{ contains: '' }, { contains: 'x'.repeat(257) }, match(...conditions)])
        expect.soft(await codeOf(store().events(filter, { limit: 2 })), JSON.stringify(filter)).toBe('invalid_request')
    })
  })
}

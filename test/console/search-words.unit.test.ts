import { describe, expect, test } from 'vitest'
import { filterOfWords, frozen, queryOf, wordOfPath, wordsIn } from '../../src/http/console/search-words.ts'

const NOW_MS = Date.parse('2026-11-26T03:12:41Z')
const at = (text: string): number => Date.parse(text)
const filterOf = (text: string) => filterOfWords(wordsIn(text), NOW_MS)

function expectEach<Found>(cases: readonly (readonly [string, Found])[], read: (text: string) => unknown): void {
  for (const [text, found] of cases) expect.soft(read(text), text).toEqual(found)
}

function faultOf(text: string): string {
  try {
    filterOf(text)
    return 'none'
  } catch (error) {
    return (error as Error).message
  }
}

describe('the words of a search', () => {
  test('become the filter of the list of events', () => {
    expectEach<object | string>(
      [
        ['', {}],
        ['source:stripe type:invoice.* outcome:dead', { source: 'stripe', type: 'invoice.*', outcome: 'dead' }],
        [
          'status:quarantined origin:poll task:t-1 id:evt_',
          { status: 'quarantined', origin: 'poll', task: 't-1', q: 'evt_' },
        ],
        ['blue bicycle', { contains: 'blue bicycle' }],
        ['"no such: \\"card\\""  source:"my shop"', { contains: 'no such: "card"', source: 'my shop' }],
        ['data.object.customer:cus_1', { match: [{ path: 'data.object.customer', value: 'cus_1' }] }],
        [
          'lines[].sku:"bike 26" a.b:c:d',
          {
            match: [
              { path: 'lines.sku', value: 'bike 26' },
              { path: 'a.b', value: 'c:d' },
            ],
          },
        ],
        [
          '.status:active .handler:x',
          {
            match: [
              { path: 'status', value: 'active' },
              { path: 'handler', value: 'x' },
            ],
          },
        ],
        ['https://example.com/a', { contains: 'https://example.com/a' }],
      ],
      filterOf,
    )
  })

  test('know times as durations, clocks, days and moments', () => {
    expectEach<object | string>(
      [
        ['since:2h', { sinceMs: NOW_MS - 7_200_000 }],
        ['since:15min until:1m', { sinceMs: NOW_MS - 900_000, untilMs: NOW_MS - 60_000 }],
        ['since:02:41 until:3:00:10', { sinceMs: at('2026-11-26T02:41:00Z'), untilMs: at('2026-11-26T03:00:10Z') }],
        ['since:04:00', { sinceMs: at('2026-11-25T04:00:00Z') }],
        ['since:2026-11-25 until:2026-11-25', { sinceMs: at('2026-11-25T00:00Z'), untilMs: at('2026-11-26T00:00Z') }],
        ['since:2026-11-26T02:41', { sinceMs: at('2026-11-26T02:41:00Z') }],
        ['since:2026-11-26T02:41:00+02:00', { sinceMs: at('2026-11-26T00:41:00Z') }],
      ],
      filterOf,
    )
  })

  test('are refused with the word that is not understood', () => {
    expectEach<object | string>(
      [
        ['a:b outcome:bad', 'outcome:bad: one of succeeded, pending, failing, dead, discarded, none is expected'],
        ['since:soon', 'since:soon: a time is expected: 2h, 02:41, 2026-11-26 or 2026-11-26T02:41'],
        ['since:7', 'since:7: a time is expected: 2h, 02:41, 2026-11-26 or 2026-11-26T02:41'],
        ['source:a source:b', 'source:b: source: stands twice'],
        ['blue source:a bicycle', 'bicycle: put all of the text side by side'],
        ['a..b:c', 'a..b:c: it must have a path of names with dots between them'],
        ['-outcome:dead', '-outcome:dead: a word cannot be excluded'],
        [
          'handler:billing',
          'handler:billing: events are not found by handler: Dead letters and Handlers are listed by it',
        ],
      ],
      faultOf,
    )
    expect(faultOf('a:b '.repeat(17))).toContain('may have 16 words')
  })

  test('frozen at a moment, never match what comes later', () => {
    const words = frozen(wordsIn('source:a since:1h bicycle'), NOW_MS)
    expect(words).toBe('source:a bicycle since:2026-11-26T02:12:41.000Z until:2026-11-26T03:12:41.000Z')
    expect(filterOfWords(wordsIn(words), NOW_MS + 900_000)).toEqual({
      source: 'a',
      contains: 'bicycle',
      sinceMs: NOW_MS - 3_600_000,
      untilMs: NOW_MS,
    })
    expect(frozen(wordsIn('until:02:00'), NOW_MS)).toBe('until:2026-11-26T02:00:00.000Z')
  })

  test('read back as the path and the value that they are made of', () => {
    for (const [path, value] of [
      ['data.id', 'a b'],
      ['status', 'active'],
      ['handler', 'x"y'],
    ] as const)
      expect(filterOf(wordOfPath(path, value))).toEqual({ match: [{ path, value }] })
    expect(queryOf(wordsIn(' a  b source:c '))).toBe('a b source:c')
  })
})

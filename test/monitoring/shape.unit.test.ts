import { describe, expect, test } from 'vitest'
import { kindNames, looksLikeData, outlineOf } from '../../src/monitoring/outline.ts'
import { Shape, type ShapeChange } from '../../src/monitoring/shape.ts'
import { seededRandom } from '../support/random.ts'

const DAY_MS = 86_400_000

function look(shape: Shape, payload: unknown, atMs: number): readonly ShapeChange[] {
  const outline = outlineOf(payload, shape.maps())
  return outline === undefined ? [] : shape.look(outline, atMs)
}

/** Looks at payloads, one a second; gives the changes with the number of the look that told each. */
function changesOf(payloads: readonly unknown[], shape = new Shape()): readonly (ShapeChange & { at: number })[] {
  return payloads.flatMap((payload, at) => look(shape, payload, at * 1_000).map((change) => ({ ...change, at })))
}

const times = <Item>(count: number, make: (nth: number) => Item): Item[] =>
  Array.from({ length: count }, (_, nth) => make(nth))

const invoice = (more: object = {}, nth = 0) => ({
  id: `evt_${nth}`,
  type: 'invoice.paid',
  data: { object: { amount: 100 + nth, currency: 'eur', lines: [{ price: 1.5 }], customer: 'cus_1', ...more } },
})

describe('the shape of payloads', () => {
  test('a path that is there from some event on is told once, and not what is in it', () => {
    const changes = changesOf([
      ...times(60, (nth) => invoice({}, nth)),
      ...times(100, () => invoice({ discount: { coupon: { id: 'x' }, rate: 1 } })),
    ])
    expect(changes).toEqual([{ path: 'data.object.discount', what: 'new', to: 'object', at: 64 }])
  })

  test('a path that vanishes is told once, without what was in it, and is new if it comes back', () => {
    const changes = changesOf([
      ...times(60, () => invoice({ discount: { rate: 1 } })),
      ...times(60, () => invoice()),
      ...times(60, () => invoice({ discount: { rate: 1 } })),
    ])
    expect(changes).toEqual([
      { path: 'data.object.discount', what: 'vanished', from: 'object', at: 79 },
      { path: 'data.object.discount', what: 'new', to: 'object', at: 124 },
    ])
  })

  test('a kind that changes is told once with both kinds', () => {
    const changes = changesOf([
      ...times(60, () => invoice()),
      ...times(60, () => invoice({ amount: '100', customer: { id: 'cus_1' } })),
    ])
    expect(changes).toEqual([
      { path: 'data.object.amount', what: 'changed', from: 'number', to: 'string', at: 64 },
      { path: 'data.object.customer', what: 'changed', from: 'string', to: 'object', at: 64 },
    ])
  })

  test('a value that was nearly always there and is null from some event on has changed to null', () => {
    const changes = changesOf([...times(60, () => invoice()), ...times(60, () => invoice({ customer: null }))])
    expect(changes).toEqual([{ path: 'data.object.customer', what: 'changed', from: 'string', to: 'null', at: 79 }])
  })

  test('nothing is told while the shape is learned: fifty events, or ten in a week', () => {
    expect(changesOf([...times(40, () => invoice()), ...times(9, () => invoice({ tax: 1 }))])).toEqual([])
    const weekly = new Shape()
    const told = times(30, (nth) => look(weekly, invoice(nth < 12 ? {} : { tax: 1 }), nth * DAY_MS)).flat()
    expect(told).toEqual([{ path: 'data.object.tax', what: 'new', to: 'number' }])
  })

  test.each([
    [
      'optional fields of any share',
      (random: () => number) => ({
        ...(random() < 0.5 && { a: 1 }),
        ...(random() < 0.1 && { b: 1 }),
        ...(random() < 0.01 && { c: { d: 1 } }),
      }),
    ],
    [
      'null now and then',
      (random: () => number) => ({ customer: random() < 0.03 ? null : 'cus', paid_at: random() < 0.9 ? null : 'now' }),
    ],
    ['null for long, and then values', (_: () => number, nth: number) => ({ note: nth < 300 ? null : 'text' })],
    ['integers and fractions', (_: () => number, nth: number) => ({ amount: nth < 200 ? 1 : 1.5 })],
    ['ids as keys', (_: () => number, nth: number) => ({ by_customer: { [`cus_${1_000 + nth}`]: { balance: nth } } })],
    ['words as keys', (random: () => number) => ({ labels: { [word(random)]: 'x', [word(random)]: 'y' } })],
    ['dates as keys', (_: () => number, nth: number) => ({ days: { [`2026-01-${10 + (nth % 18)}`]: nth } })],
    [
      'elements of several kinds',
      (random: () => number) => ({ list: [1, 'a', { x: 1 }].slice(Math.floor(random() * 3)) }),
    ],
    [
      'arrays that are often empty',
      (random: () => number) => ({ list: random() < 0.8 ? [] : [{ x: 1, ...(random() < 0.5 && { y: 2 }) }] }),
    ],
    [
      'fields that are a text or an object',
      (random: () => number) => ({ customer: random() < 0.2 ? { id: 'x', name: 'y' } : 'x' }),
    ],
    [
      'an optional object with optional fields',
      (random: () => number) => ({
        ...(random() < 0.1 && { refund: { id: 1, ...(random() < 0.3 && { reason: 'x' }) } }),
      }),
    ],
  ])('%s are no change', (_name, more) => {
    const random = seededRandom(7)
    for (let run = 0; run < 5; run++)
      expect(changesOf(times(1_000, (nth) => invoice(more(random, nth), nth)))).toEqual([])
  })

  test('a field that stays rare is learned without a word, however late it comes', () => {
    const random = seededRandom(3)
    expect(changesOf(times(2_000, (nth) => invoice(nth > 500 && random() < 0.15 ? { tip: 1 } : {})))).toEqual([])
  })

  test('it is the same after it was written and read, at any point', () => {
    const payloads = [
      ...times(60, () => invoice()),
      ...times(60, () => invoice({ amount: 'x', tax: 1, lines: undefined })),
    ]
    let shape = new Shape()
    const changes = payloads.flatMap((payload, at) => {
      shape = Shape.fromText(shape.toText())
      return look(shape, payload, at * 1_000)
    })
    expect(changes).toEqual(changesOf(payloads).map(({ at: _, ...change }) => change))
    expect(changes).toHaveLength(3)
  })

  test('its size is bounded, and so is the size of a payload that is looked at', () => {
    const random = seededRandom(1)
    const wild = (depth: number): unknown =>
      depth === 0 ? 1 : Object.fromEntries(times(12, () => [word(random) + word(random), wild(depth - 1)]))
    const shape = new Shape()
    for (let nth = 0; nth < 50; nth++) look(shape, wild(3), nth)
    expect(shape.toText().length).toBeLessThanOrEqual(131_072)
    expect(outlineOf({ list: times(16, () => times(16, () => times(17, () => [1, 2]))) })).toBeUndefined()
    expect(outlineOf('text')).toBeUndefined()
    let deep: unknown = 1
    for (let nth = 0; nth < 60; nth++) deep = { deep }
    expect(outlineOf(deep)?.paths.size).toBeLessThan(20)
  })

  test('a text of another form begins a new shape', () => {
    for (const text of ['', '{}', '{"form":2}', '{"form":1}', 'null'])
      expect(changesOf([invoice()], Shape.fromText(text))).toEqual([])
  })

  test('holds names of fields and kinds, and no value', () => {
    const shape = new Shape()
    for (let nth = 0; nth < 100; nth++)
      look(
        shape,
        {
          secret: 'hunter2',
          users: { 'ann@example.com': { token: 'tok_12345' } },
          sk_live_4eC39HqLyjWDarjtT1zdp7dc: 1,
        },
        nth,
      )
    const text = shape.toText()
    for (const value of ['hunter2', 'ann@', 'tok_', 'sk_live']) expect(text).not.toContain(value)
    expect(text).toContain('"users.*.token"')
  })
})

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const word = (random: () => number): string => times(6, () => LETTERS[Math.floor(random() * 26)]).join('')

test.each([
  'id',
  'address_line1',
  'line2',
  'sha256',
  'sha512',
  'iso8601',
  'oauth2_token',
  'x-request-id',
  '@type',
  '$ref',
  '+1',
  '-1',
  'first name',
  'Größe',
  'имя',
  'ipv4',
  'h264',
  'address_line_2',
  'utf8',
  '_links',
])('the key %s is the name of a field', (key) => {
  expect(looksLikeData(key)).toBe(false)
})

test.each([
  '1',
  '1234',
  'cus_123',
  'cus_NffrFeUfNV2Hib',
  'evt_1MqqbKLt4dXK03v5qaIbiNCC',
  '550e8400-e29b-41d4-a716-446655440000',
  'ann@example.com',
  'https://example.com',
  '2026-01-31',
  '2026-01',
  '192.168.0.1',
  'deadbeef0123',
  'a/b',
  '',
  'x'.repeat(80),
])('the key %s is data', (key) => {
  expect(looksLikeData(key)).toBe(true)
})

test('kinds are named in order', () => {
  expect(kindNames(3)).toBe('number|string')
})

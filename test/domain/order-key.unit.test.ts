import { describe, expect, test } from 'vitest'
import { compileOrderBy, orderByFault, orderKeyFor } from '../../src/domain/order-key.ts'

const event = (data: unknown) => ({ id: 'evt_1', type: 'acme.thing', source: 'acme', data })
const keyOf = (orderBy: string, data: unknown) => compileOrderBy(orderBy)(event(data))

describe('`orderBy`', () => {
  test.each(['id', 'type', 'task', 'source', 'data.object.id', 'data.items.0.id', 'data.a b.ü'])(
    'may be %j',
    (orderBy) => {
      expect(orderByFault(orderBy)).toBeUndefined()
    },
  )

  test.each([
    '',
    'object.id',
    'data',
    'uid',
    'data.',
    'data..id',
    '.data',
    7,
    null,
    `data.${'a.'.repeat(16)}a`,
    'data.'.padEnd(300, 'a'),
  ])('may not be %j', (orderBy) => {
    expect(orderByFault(orderBy)).toMatch(/^orderBy is .*data\.object\.id/)
  })
})

describe('the order key of an event', () => {
  test('is the same for the same text, number or boolean, and another for another', () => {
    const values = ['1', '2', 'true', '', 'a'.repeat(100_000)]
    const keys = values.map((id) => keyOf('data.object.id', { object: { id } }))
    expect(new Set(keys).size).toBe(values.length)
    for (const [at, id] of values.entries())
      expect(keyOf('data.object.id', { object: { id, other: 1 } })).toBe(keys[at])
    expect(keyOf('data.id', { id: 1 })).toBe(keyOf('data.id', { id: '1' }))
    expect(keyOf('data.id', { id: true })).toBe(keyOf('data.id', { id: 'true' }))
  })

  test('is a whole number that both stores hold exactly, and does not show the value', () => {
    for (let n = 0; n < 1_000; n++) {
      const key = keyOf('data.id', { id: n })
      expect(Number.isSafeInteger(key) && Number(key) >= 0 && Number(key) < 2 ** 48).toBe(true)
    }
  })

  test('is found in lists and by fields of the event itself', () => {
    expect(keyOf('data.items.1.id', { items: [{ id: 'a' }, { id: 'b' }] })).toBe(keyOf('data.id', { id: 'b' }))
    expect(keyOf('source', {})).toBe(keyOf('data.id', { id: 'acme' }))
  })

  test.each([
    [{}],
    [{ object: null }],
    [{ object: 'text' }],
    [{ object: { id: null } }],
    [{ object: { id: { nested: 1 } } }],
    [{ object: { id: ['a'] } }],
    [null],
    ['text'],
  ])('is missing where the data is %j', (data) => {
    expect(keyOf('data.object.id', data)).toBeUndefined()
  })

  test('is never a property that every object has', () => {
    expect(keyOf('data.constructor.name', {})).toBeUndefined()
    expect(keyOf('data.__proto__', {})).toBeUndefined()
    expect(keyOf('data.id.length', { id: 'text' })).toBeUndefined()
    expect(orderKeyFor({}, 'constructor')).toBeNull()
    expect(orderKeyFor(undefined, 'a')).toBeNull()
  })
})

import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Headers } from '../../src/domain/event.ts'
import type { Provider } from '../../src/domain/provider.ts'
import { readEvent } from '../../src/pipeline/read-event.ts'
import { defineProvider } from '../../src/providers/define-provider.ts'
import github from '../../src/providers/github/provider.ts'

const acme = defineProvider({
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
  event: { id: 'body:id', type: 'body:type', created_at: 'body:at', data: 'body:data' },
})
const receivedAtMs = Date.UTC(2026, 0, 2)
const read = (body: unknown, provider: Parameters<typeof readEvent>[0] = acme) =>
  readEvent(provider, {}, Buffer.from(JSON.stringify(body)), receivedAtMs)
const fieldsOf = (body: object) => {
  const reading = read({ type: 'a.b', ...body })
  return reading.ok ? reading.fields : reading.reasons
}

describe('the created_at of an event', () => {
  test.each([
    ['a time that the provider wrote', '2026-01-01 01:02:03 UTC', '2026-01-01T01:02:03Z', 'provider'],
    ['a number', 1_767_225_600, '2026-01-01T00:00:00.000Z', 'provider'],
    ['an invalid time', '2026-02-30T00:00:00Z', '2026-01-02T00:00:00.000Z', 'received'],
    ['null', null, '2026-01-02T00:00:00.000Z', 'received'],
  ])(
    'from %s is RFC 3339 or the time of receipt, and created_at_source says which',
    (_, at, created_at, created_at_source) => {
      expect(fieldsOf({ at })).toMatchObject({ created_at, created_at_source })
    },
  )
})

describe('the id of an event that has none', () => {
  const idOf = (provider: Provider, headers: Headers, body: string) => {
    const reading = readEvent(provider, headers, Buffer.from(body), receivedAtMs)
    return reading.ok ? reading.fields.id : reading.id
  }
  const topics = defineProvider({
    name: 'topics',
    verify: acme.verify,
    event: {
      type: ['header:X-Topic', 'body:type'],
      created_at: 'header:x-sent-at',
      api_version: 'header:x-api-version',
      data: 'body:',
    },
  })
  const byCode = defineProvider({
    name: 'by-code',
    verify: acme.verify,
    event: ({ headers, body }) => ({
      type: headers['x-topic'],
      created_at: headers['x-sent-at'],
      data: { body, shop: headers['x-shop'] },
    }),
  })

  test.each([
    ['the type in a header of a map', topics, { 'x-topic': 'orders/create' }, { 'x-topic': 'orders/paid' }],
    [
      'any other header of a map',
      topics,
      { 'x-topic': 'a', 'x-api-version': '1' },
      { 'x-topic': 'a', 'x-api-version': '2' },
    ],
    ['the type that code reads from a header', byCode, { 'x-topic': 'a' }, { 'x-topic': 'b' }],
    [
      'the data that code reads from a header',
      byCode,
      { 'x-topic': 'a', 'x-shop': '1' },
      { 'x-topic': 'a', 'x-shop': '2' },
    ],
    ['the event of GitHub', github, { 'x-github-event': 'push' }, { 'x-github-event': 'create' }],
  ])('differs for the same body with another value of %s', (_, provider, one, other) => {
    for (const body of ['{"n":1}', 'not JSON']) {
      expect(idOf(provider, one, body)).toMatch(/^sha256:[0-9a-f]{64}$/)
      expect(idOf(provider, one, body)).not.toBe(idOf(provider, other, body))
      expect(idOf(provider, one, body)).toBe(idOf(provider, { ...one, 'x-other': '1' }, body))
    }
    expect(idOf(provider, one, '{"n":1}')).not.toBe(idOf(provider, one, '{"n":2}'))
  })

  test.each([
    ['a map', topics],
    ['code', byCode],
  ])('is the same when the same event comes again at another time, which %s reads', (_, provider) => {
    const at = (time: string) => idOf(provider, { 'x-topic': 'a', 'x-sent-at': time }, '{}')
    expect(at('1767225600')).toBe(at('1767225601'))
  })

  test('exists for any data that code gives', () => {
    const circular: Record<string, unknown> = {}
    circular.itself = circular
    for (const data of [circular, 1n, undefined, () => 1]) {
      const odd = defineProvider({ name: 'odd', verify: acme.verify, event: () => ({ type: 'a', data }) })
      expect(idOf(odd, {}, '{}')).toMatch(/^sha256:/)
    }
  })

  test('depends on the body alone if all fields are read from the body', () => {
    expect(idOf(acme, { 'x-topic': 'a' }, '{"type":"a.b"}')).toBe(`sha256:${hash('sha256', '{"type":"a.b"}')}`)
  })
})

test('the data of an event without data is an object without properties', () => {
  expect(fieldsOf({})).toMatchObject({ data: {} })
  expect(fieldsOf({ data: null })).toMatchObject({ data: {} })
  expect(fieldsOf({ data: 0 })).toMatchObject({ data: 0 })
})

test.each([
  [{ type: 'a\u0000b' }, 'the event type has control characters'],
  [{ type: 'a\ud800' }, 'the event type has control characters'],
  [{ id: '\u001b[2J' }, 'the event id has control characters'],
  [{ id: 2 ** 60 }, 'the event id is a number that JSON does not carry exactly'],
  [{ id: '' }, 'the event id is empty'],
  [{ id: {} }, 'the event id is not a text'],
  [{ type: null }, 'no event type'],
])('an event with %j is not readable, because %s', (body, reason) => {
  expect(fieldsOf(body)).toEqual([reason])
})

test('the reason for an error of a provider’s code has only the error’s name, because its message may hold a piece of the body', () => {
  const careless = defineProvider({
    name: 'careless',
    verify: acme.verify,
    event: ({ body }) => JSON.parse((body as { inner: string }).inner),
  })
  const reading = read({ inner: 'a secret in no JSON' }, careless)
  expect(reading).toMatchObject({
    ok: false,
    reasons: expect.arrayContaining(['provider careless could not read it (SyntaxError)']),
  })
  expect(JSON.stringify(reading)).not.toContain('a secret')
})

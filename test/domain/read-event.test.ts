import { describe, expect, test } from 'vitest'
import { defineProvider } from '../../src/domain/provider.ts'
import { readEvent } from '../../src/domain/read-event.ts'

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

describe('created_at', () => {
  test.each([
    ['RFC 3339, as it came', '2026-01-01T01:02:03+02:00', '2026-01-01T01:02:03+02:00'],
    ['RFC 3339 with more digits than a Date has', '2026-01-01T01:02:03.123456Z', '2026-01-01T01:02:03.123456Z'],
    ['no offset, taken for UTC', '2026-01-01T01:02:03.123456', '2026-01-01T01:02:03.123Z'],
    ['seconds', 1_767_225_600, '2026-01-01T00:00:00.000Z'],
    ['milliseconds in a text', '1767225600000', '2026-01-01T00:00:00.000Z'],
    ['what only Date would take for a time', 'banana 5', '2026-01-02T00:00:00.000Z'],
    ['a day', '2026-01-01', '2026-01-02T00:00:00.000Z'],
    ['no day of the calendar', '2026-13-45T00:00:00Z', '2026-01-02T00:00:00.000Z'],
    ['a number past all dates', 1e300, '2026-01-02T00:00:00.000Z'],
    ['nothing', null, '2026-01-02T00:00:00.000Z'],
  ])('of %s is RFC 3339, or else the time of receipt', (_, at, created_at) => {
    expect(fieldsOf({ at })).toMatchObject({ created_at })
  })
})

test('data that is absent or null is an object without properties', () => {
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
])('%j is not readable: %s', (body, reason) => {
  expect(fieldsOf(body)).toEqual([reason])
})

test('what a provider’s code throws is told by its kind alone: its text may be the body’s', () => {
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

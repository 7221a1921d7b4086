import { expect, test, vi } from 'vitest'
import type { EventFields } from '../../src/domain/event.ts'
import type { Provider } from '../../src/domain/provider.ts'
import { judgementId } from '../../src/pipeline/judgement-id.ts'
import { compileRoutes } from '../../src/pipeline/routes.ts'

const AHEAD = { type: 'object', properties: { name: { pattern: '^(?=a)' } } }
const provider = (schemas: Readonly<Record<string, object>> = {}) => ({ name: 'acme', schemas }) as unknown as Provider
const fields: EventFields = {
  id: '1',
  type: 'thing',
  created_at: '2026-11-26T10:00:00Z',
  created_at_source: 'received',
  data: { name: 'b' },
}

test('a schema check has another id if its schema or the checked part of the event is another', () => {
  const name = judgementId({ schema: AHEAD }, provider(), fields)
  expect(judgementId({ schema: structuredClone(AHEAD) }, provider({ other: {} }), structuredClone(fields))).toBe(name)
  const others = [
    judgementId({ schema: { ...AHEAD, minProperties: 1 } }, provider(), fields),
    judgementId({ schema: AHEAD, schemaOf: 'event' }, provider(), fields),
    judgementId({ schema: AHEAD }, provider(), { ...fields, type: 'things' }),
    judgementId({ schema: AHEAD }, provider(), { ...fields, data: { name: 'a' } }),
    judgementId({}, provider({ thing: {} }), fields),
    judgementId({}, provider({ thing: AHEAD, other: {} }), fields),
  ]
  expect(new Set([name, ...others]).size).toBe(6)
  expect(others.at(-1)).toBe(name)
})

test('the id of a schema check includes the provider’s time of the event, but not the time of receipt', () => {
  const whole = (given: Partial<EventFields>) =>
    judgementId({ schema: AHEAD, schemaOf: 'event' }, provider(), { ...fields, ...given })
  const later = { created_at: '2026-11-26T11:00:00Z' }
  expect(whole(later)).toBe(whole({}))
  expect(whole({ ...later, created_at_source: 'provider' })).not.toBe(whole({ created_at_source: 'provider' }))
})

test('a route names the schema checks that it leaves to the handlers’ processes, and none that it has completed', () => {
  const source = { name: 'acme', provider: provider(), types: ['*'], accepts: () => true }
  const route = compileRoutes([
    { name: 'any', types: ['*'], schema: { type: 'object' } },
    { name: 'thing', types: ['thing'], schema: AHEAD },
  ])
  const name = judgementId({ schema: AHEAD }, provider(), fields)
  expect(route(source, fields)).toEqual({
    status: 'accepted',
    handlers: ['any', 'thing'],
    reasons: [],
    unjudged: [name],
  })
  expect(route(source, { ...fields, type: 'other' })).toEqual({ status: 'accepted', handlers: ['any'], reasons: [] })
})

test('each schema and event is hashed once for any number of schema checks', () => {
  const [schema, data] = [{ toJSON: vi.fn(() => AHEAD) }, { toJSON: vi.fn(() => ({ name: 'b' })) }]
  const names = ['data', 'event', 'data'] as const
  for (const schemaOf of names) judgementId({ schema, schemaOf }, provider(), { ...fields, data })
  expect(schema.toJSON).toHaveBeenCalledTimes(1)
  expect(data.toJSON).toHaveBeenCalledTimes(1)
})

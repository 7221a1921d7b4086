import { expect, test, vi } from 'vitest'
import type { EventFields } from '../../src/domain/event.ts'
import type { Provider } from '../../src/domain/provider.ts'
import { judgementId } from '../../src/pipeline/judgement.ts'
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

test('a judgement has another name where its schema, or what it is given of the event, is another', () => {
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

test('the time of receipt is no part of what is judged, and the time that the provider gave is', () => {
  const whole = (given: Partial<EventFields>) =>
    judgementId({ schema: AHEAD, schemaOf: 'event' }, provider(), { ...fields, ...given })
  const later = { created_at: '2026-11-26T11:00:00Z' }
  expect(whole(later)).toBe(whole({}))
  expect(whole({ ...later, created_at_source: 'provider' })).not.toBe(whole({ created_at_source: 'provider' }))
})

test('a route names the judgements that it leaves to the handlers, and none of what it has judged itself', () => {
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

test('schemas and events are gone through once, however many judgements they are in', () => {
  const [schema, data] = [{ toJSON: vi.fn(() => AHEAD) }, { toJSON: vi.fn(() => ({ name: 'b' })) }]
  const names = ['data', 'event', 'data'] as const
  for (const schemaOf of names) judgementId({ schema, schemaOf }, provider(), { ...fields, data })
  expect(schema.toJSON).toHaveBeenCalledTimes(1)
  expect(data.toJSON).toHaveBeenCalledTimes(1)
})

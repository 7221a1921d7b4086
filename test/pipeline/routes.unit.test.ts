import { Type } from '@sinclair/typebox'
import { describe, expect, test } from 'vitest'
import type { EventFields } from '../../src/domain/event.ts'
import { createRouter, type RegisteredHandler, type Router } from '../../src/domain/router.ts'
import type { Source } from '../../src/domain/source.ts'
import { compileRoutes } from '../../src/pipeline/routes.ts'
import { compilePatterns } from '../../src/pipeline/type-routes.ts'
import { defineProvider } from '../../src/providers/define-provider.ts'

const provider = defineProvider({
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
  event: { type: 'body:type' },
  schemas: { 'acme.strict': Type.Object({ count: Type.Integer() }) },
})

const source = (types: readonly string[] = ['*'], name = 'acme'): Source => ({
  name,
  provider,
  verify: () => ({ ok: true }),
  precheck: () => undefined,
  types,
  accepts: compilePatterns(types),
  url: undefined,
  dedupe: 'id',
  redeliveryReplaysDead: false,
  keys: [],
  secretHeaders: [],
})

const event = (type: string, data: unknown = {}): EventFields => ({
  id: 'evt_1',
  type,
  created_at: '2026-01-01T00:00:00Z',
  created_at_source: 'provider',
  data,
})

function routeBy(module: (router: Router) => void) {
  const registered: RegisteredHandler[] = []
  module(createRouter('module', registered))
  return compileRoutes(registered.map(({ definition }) => definition))
}

const nothing = () => {}

describe('routing an event', () => {
  test('gives each handler with `orderBy` its key, and leaves out those for which the event has none', () => {
    const route = routeBy((router) => {
      router.on('acme.thing', { name: 'plain' }, nothing)
      router.on('acme.*', { name: 'by object', orderBy: 'data.object.id' }, nothing)
      router.on('acme.*', { name: 'by source', orderBy: 'source' }, nothing)
      router.on('acme.*', { name: 'by task', orderBy: 'task' }, nothing)
    })
    const keysOf = (data: unknown) => route(source(), event('acme.thing', data)).orderKeys
    const one = keysOf({ object: { id: 'one' } })
    expect(Object.keys(one ?? {})).toEqual(['by object', 'by source'])
    expect(keysOf({ object: { id: 'one' }, other: 1 })).toEqual(one)
    expect(keysOf({ object: { id: 'two' } })?.['by object']).not.toBe(one?.['by object'])
    expect(Object.keys(keysOf({}) ?? {})).toEqual(['by source'])
    expect(routeBy((router) => router.on('acme.thing', nothing))(source(), event('acme.thing'))).not.toHaveProperty(
      'orderKeys',
    )
  })

  test('finds every handler that wants it, by type, pattern, list and source', () => {
    const route = routeBy((router) => {
      router.on('acme.thing', nothing)
      router.on('acme.*', nothing)
      router.on(['acme.thing', 'acme.other'], nothing)
      router.on({ source: 'acme', type: 'acme.thing' }, { name: 'mine' }, nothing)
      router.on({ source: 'other', type: 'acme.thing' }, { name: 'theirs' }, nothing)
      router.register('acme.thing', nothing, { name: 'registered' })
    })
    expect(route(source(), event('acme.thing'))).toEqual({
      status: 'accepted',
      handlers: ['module:acme.thing', 'module:acme.*', 'module:acme.thing,acme.other', 'mine', 'registered'],
      reasons: [],
    })
  })

  test('leaves an event unhandled if no handler wants its type', () => {
    expect(routeBy(() => {})(source(), event('acme.thing'))).toEqual({ status: 'unhandled', handlers: [], reasons: [] })
  })

  test('leaves an event unhandled, with a reason, if its source does not accept its type', () => {
    const route = routeBy((router) => router.on('*', nothing))
    expect(route(source(['completion.*']), event('batch.created'))).toEqual({
      status: 'unhandled',
      handlers: [],
      reasons: ['source acme accepts only completion.*'],
    })
  })

  test('quarantines an event that does not match the provider’s schema, and names the place but not the value', () => {
    const route = routeBy((router) => router.on('*', nothing))
    expect(route(source(), event('acme.strict', { count: 'secret' }))).toEqual({
      status: 'quarantined',
      handlers: [],
      reasons: ['data: /count must be integer'],
    })
  })

  test('quarantines an event whose data does not match a handler’s schema', () => {
    const route = routeBy((router) => router.on('acme.thing', Type.Object({ size: Type.Number() }), nothing))
    expect(route(source(), event('acme.thing', { size: 1 })).status).toBe('accepted')
    expect(route(source(), event('acme.thing', {})).reasons).toEqual([
      "module:acme.thing: / must have required property 'size'",
    ])
  })

  test('checks the whole event by a schema with type and data', () => {
    const Whole = Type.Object({ type: Type.Literal('acme.thing'), data: Type.Object({ size: Type.Number() }) })
    const route = routeBy((router) => router.on('acme.thing', { schema: Whole }, nothing))
    expect(route(source(), event('acme.thing', { size: 1 })).status).toBe('accepted')
    expect(route(source(), event('acme.thing', { size: '1' })).status).toBe('quarantined')
  })

  test('checks a handler’s events by the catalogue, from any source', () => {
    const route = routeBy((router) => router.on(['batch.created', 'acme.*'], nothing))
    expect(route(source(), event('batch.created', { batch_id: 'b' })).status).toBe('accepted')
    expect(route(source(), event('batch.created', {})).status).toBe('quarantined')
    expect(route(source(), event('acme.thing', {})).status).toBe('accepted')
  })

  test('does not change the event by defaults, coercion or removal', () => {
    const schema = Type.Object({ count: Type.Integer({ default: 1 }) }, { additionalProperties: true })
    const route = routeBy((router) => router.on('acme.thing', schema, nothing))
    const data = { count: null, extra: '1' }
    expect(route(source(), event('acme.thing', data)).status).toBe('quarantined')
    expect(data).toEqual({ count: null, extra: '1' })
  })
})

describe('the data that a handler gets', () => {
  const cases: [string, unknown, string][] = [
    ['an object', { a: 1 }, 'accepted'],
    ['a number', 5, 'quarantined'],
    ['a text', 'x', 'quarantined'],
    ['a list', [1], 'quarantined'],
    ['false', false, 'quarantined'],
    ['null', null, 'quarantined'],
  ]
  test.each(cases)('must be an object without a schema: %s', (_, data, status) => {
    expect(routeBy((router) => router.on('other', nothing))(source(), event('other', data)).status).toBe(status)
  })

  test('must match the handler’s schema', () => {
    const route = routeBy((router) => router.on('other', Type.Array(Type.Number()), nothing))
    expect(route(source(), event('other', [1])).status).toBe('accepted')
  })

  test('needs to match the provider’s schema only if some handler has no schema of its own', () => {
    const own = (router: Router) => router.on('acme.strict', { name: 'own', schema: Type.Object({}) }, nothing)
    const loose = event('acme.strict', { count: 'many' })
    expect(routeBy(own)(source(), loose).status).toBe('accepted')
    const both = routeBy((router) => {
      own(router)
      router.on('acme.*', nothing)
    })
    expect(both(source(), loose).status).toBe('quarantined')
    expect(routeBy(() => {})(source(), loose).status).toBe('quarantined')
  })

  test('is a part of the event that a schema with required type and data describes, however it is composed', () => {
    const Whole = Type.Object({ type: Type.String(), data: Type.Object({ n: Type.Number() }) })
    const schemas = [
      Whole,
      Type.Intersect([Whole, Type.Object({ id: Type.String() })]),
      Type.Union([Whole, Type.Object({ type: Type.Literal('x'), data: Type.Null() })]),
    ]
    for (const schema of schemas) {
      const route = routeBy((router) => router.on('acme.whole', schema, nothing))
      expect(route(source(), event('acme.whole', { n: 1 })).status).toBe('accepted')
      expect(route(source(), event('acme.whole', { n: 'one' })).status).toBe('quarantined')
    }
  })

  test('is what a schema describes that requires only one of type and data, or neither', () => {
    const Optional = Type.Object({
      n: Type.Number(),
      type: Type.Optional(Type.String()),
      data: Type.Optional(Type.Any()),
    })
    const Either = Type.Union([
      Type.Object({ type: Type.String(), data: Type.Any() }),
      Type.Object({ n: Type.Number() }),
    ])
    for (const schema of [Optional, Either]) {
      const route = routeBy((router) => router.on('acme.part', schema, nothing))
      expect(route(source(), event('acme.part', { n: 1 })).status).toBe('accepted')
    }
  })
})

describe('registering a handler', () => {
  const register = (act: (router: Router) => void) => () => act(createRouter('module', []))
  const wrong = (value: unknown) => value as never

  test.each([
    ['no type', (router: Router) => router.on(wrong([]), nothing), 'needs an event type'],
    ['a type that is no text', (router: Router) => router.on(wrong(7), nothing), 'needs an event type'],
    ['nothing but a type', (router: Router) => router.on('a.b', wrong(undefined)), 'module:a.b is not a function'],
    [
      'an unknown part in what it selects',
      (router: Router) => router.on(wrong({ sources: 'eu', type: 'a.b' }), nothing),
      'unknown option sources',
    ],
    [
      'several sources',
      (router: Router) => router.on({ source: wrong(['a', 'b']), type: 'a.b' }, nothing),
      'source is the name of one source',
    ],
    ['no function', (router: Router) => router.on('a.b', {}, wrong(undefined)), 'module:a.b is not a function'],
    [
      'an unknown option',
      (router: Router) => router.on('a.b', wrong({ retries: 3 }), nothing),
      'unknown option retries',
    ],
    [
      'options after the handler',
      (router: Router) => router.on('a.b', wrong(nothing), wrong({ name: 'q' })),
      'on takes the handler last',
    ],
    [
      'a schema that asks for what Holdfast adds',
      (router: Router) =>
        router.on('a.b', Type.Object({ uid: Type.String(), type: Type.String(), data: Type.Object({}) }), nothing),
      'handler module:a.b: its schema asks for uid',
    ],
    [
      'a concurrency of 0',
      (router: Router) => router.on('a.b', { concurrency: 0 }, nothing),
      'concurrency is 0, not a whole number above 0',
    ],
  ])('with %s is refused', (_, act, message) => {
    expect(register(act)).toThrow(message)
  })

  test('with a schema that is not valid is refused with the handler’s name', () => {
    expect(() => routeBy((router) => router.on('a.b', { schema: { type: 'strange' } as never }, nothing))).toThrow(
      'handler module:a.b: its schema is not valid',
    )
  })
})

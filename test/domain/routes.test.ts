import { Type } from '@sinclair/typebox'
import { describe, expect, test } from 'vitest'
import type { EventFields } from '../../src/domain/event.ts'
import { compilePatterns } from '../../src/domain/pattern.ts'
import { defineProvider } from '../../src/domain/provider.ts'
import { createRouter, type RegisteredHandler, type Router } from '../../src/domain/router.ts'
import { compileRoutes } from '../../src/domain/routes.ts'
import type { Source } from '../../src/domain/source.ts'

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
  types,
  accepts: compilePatterns(types),
  url: undefined,
  secretHeaders: [],
})

const event = (type: string, data: unknown = {}): EventFields => ({
  id: 'evt_1',
  type,
  created_at: '2026-01-01T00:00:00Z',
  data,
})

function routeBy(module: (router: Router) => void) {
  const registered: RegisteredHandler[] = []
  module(createRouter('module', registered))
  return compileRoutes(registered.map(({ registration }) => registration))
}

const nothing = () => {}

describe('routing an event', () => {
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

  test('leaves a type that nobody wants unhandled', () => {
    expect(routeBy(() => {})(source(), event('acme.thing'))).toEqual({ status: 'unhandled', handlers: [], reasons: [] })
  })

  test('leaves a type that its source does not accept unhandled, and says so', () => {
    const route = routeBy((router) => router.on('*', nothing))
    expect(route(source(['completion.*']), event('batch.created'))).toEqual({
      status: 'unhandled',
      handlers: [],
      reasons: ['source acme accepts only completion.*'],
    })
  })

  test('quarantines what is not as the provider says, naming the place and not the value', () => {
    const route = routeBy((router) => router.on('*', nothing))
    expect(route(source(), event('acme.strict', { count: 'secret' }))).toEqual({
      status: 'quarantined',
      handlers: [],
      reasons: ['data: /count must be integer'],
    })
  })

  test('quarantines what is not as a handler’s schema of the data says', () => {
    const route = routeBy((router) => router.on('acme.thing', Type.Object({ size: Type.Number() }), nothing))
    expect(route(source(), event('acme.thing', { size: 1 })).status).toBe('accepted')
    expect(route(source(), event('acme.thing', {})).reasons).toEqual([
      "module:acme.thing: / must have required property 'size'",
    ])
  })

  test('checks a schema with type and data against the whole event', () => {
    const Whole = Type.Object({ type: Type.Literal('acme.thing'), data: Type.Object({ size: Type.Number() }) })
    const route = routeBy((router) => router.on('acme.thing', { schema: Whole }, nothing))
    expect(route(source(), event('acme.thing', { size: 1 })).status).toBe('accepted')
    expect(route(source(), event('acme.thing', { size: '1' })).status).toBe('quarantined')
  })

  test('holds a handler’s events to the catalogue, whichever source they come from', () => {
    const route = routeBy((router) => router.on(['batch.created', 'acme.*'], nothing))
    expect(route(source(), event('batch.created', { batch_id: 'b' })).status).toBe('accepted')
    expect(route(source(), event('batch.created', {})).status).toBe('quarantined')
    expect(route(source(), event('acme.thing', {})).status).toBe('accepted')
  })

  test('changes nothing that it checks: no default, no coercion, no stripping', () => {
    const schema = Type.Object({ count: Type.Integer({ default: 1 }) }, { additionalProperties: true })
    const route = routeBy((router) => router.on('acme.thing', schema, nothing))
    const data = { count: null, extra: '1' }
    expect(route(source(), event('acme.thing', data)).status).toBe('quarantined')
    expect(data).toEqual({ count: null, extra: '1' })
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
      'a concurrency of 0',
      (router: Router) => router.on('a.b', { concurrency: 0 }, nothing),
      'concurrency is a whole number above 0',
    ],
  ])('with %s is refused', (_, act, message) => {
    expect(register(act)).toThrow(message)
  })

  test('with a schema that is no schema is refused, by the handler’s name', () => {
    expect(() => routeBy((router) => router.on('a.b', { schema: { type: 'strange' } as never }, nothing))).toThrow(
      'handler module:a.b: its schema is not valid',
    )
  })
})

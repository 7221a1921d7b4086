import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { HandlerDefinition } from '../../src/domain/handler.ts'
import type { Replica, ReplicaRegistry } from '../../src/domain/replica-registry.ts'
import type { Source } from '../../src/domain/source.ts'
import { compileBetween, compileRoutes } from '../../src/pipeline/routes.ts'
import { joinReplicas, type MembershipOptions } from '../../src/replicas/membership.ts'
import { source } from '../http/public-service.ts'
import { eventually } from '../support/eventually.ts'

const PAID: HandlerDefinition = { name: 'paid', types: ['order.paid'] }
const LOST: HandlerDefinition = { name: 'lost', types: ['order.lost'] }
/** As a later release might have it. */
const ODD: HandlerDefinition = { name: 'odd', types: ['order.odd'], schema: { type: 'no such type' } }

const ai: Source = source('ai')
const fields = (type: string) => ({
  id: 'evt_1',
  type,
  created_at: '2026-01-01T00:00:00Z',
  created_at_source: 'provider' as const,
  data: {},
})

/** A process in a fleet of which the test says what there is. */
async function join(given: Partial<MembershipOptions> & { handlers?: readonly HandlerDefinition[] | undefined }) {
  const { handlers, ...options } = given
  const state = { handlers, isAway: false, tried: 0, announced: [] as Replica[], left: [] as string[] }
  const unlessAway = async <Value>(work: () => Value): Promise<Value> => {
    state.tried++
    if (state.isAway) throw new Error('no database')
    return work()
  }
  const registry: ReplicaRegistry = {
    announce: (replica) => unlessAway(() => void state.announced.push(replica)),
    leave: (uid) => unlessAway(() => void state.left.push(uid)),
    handlers: () => unlessAway(() => state.handlers),
    hasOthers: () => false,
    roles: async () => new Map(),
    running: async () => [],
    workers: () => [],
  }
  const logs: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line)) })
  const joined = await joinReplicas({ registry, own: undefined, log, refreshMs: 5, ...options })
  onTestFinished(() => joined.leave())
  /** Resolves after so many more calls. */
  const tried = async (count: number): Promise<void> => {
    const from = state.tried
    await eventually(
      async () => state.tried,
      (calls) => calls >= from + count,
    )
  }
  const routesTo = (type: string): readonly string[] => joined.route(ai, fields(type)).handlers
  const logged = (text: string) => logs.filter(({ msg }) => String(msg).includes(text))
  return { state, joined, tried, routesTo, logged }
}

test('a process that has joined has announced its handlers, and routes by the handlers of all processes', async () => {
  const { state, joined, routesTo } = await join({ own: [PAID], handlers: [PAID, LOST] })
  expect(state.announced).toMatchObject([{ handlers: [PAID] }])
  expect(joined.faults()).toEqual([])
  expect(joined.handlers()).toEqual([PAID, LOST])
  expect([routesTo('order.paid'), routesTo('order.lost')]).toEqual([['paid'], ['lost']])
  expect(joined.route(ai, fields('order.none')).status).toBe('unhandled')
})

test('a process announces itself repeatedly under the same uid, and leaves when it stops', async () => {
  const { state, joined } = await join({ own: [PAID], handlers: [PAID], announceMs: 10 })
  await eventually(
    async () => state.announced.length,
    (count) => count >= 3,
  )
  expect(new Set(state.announced.map(({ uid }) => uid)).size).toBe(1)
  await joined.leave()
  const { length } = state.announced
  expect(state.left).toEqual([state.announced[0]?.uid])
  const other = await join({ own: [PAID], handlers: [PAID], announceMs: 10 })
  await other.tried(10)
  expect(state.announced).toHaveLength(length)
})

test('a process with other handlers after a reload announces them at once under its uid, and routes to them', async () => {
  const { state, joined, routesTo } = await join({ own: [PAID], handlers: [PAID] })
  state.handlers = [LOST]
  await joined.replaceOwn([LOST], compileRoutes([LOST]))
  expect(state.announced.map(({ handlers }) => handlers)).toEqual([[PAID], [LOST]])
  expect(new Set(state.announced.map(({ uid }) => uid)).size).toBe(1)
  expect([routesTo('order.paid'), routesTo('order.lost')]).toEqual([[], ['lost']])
})

test('a process that cannot announce its other handlers keeps the ones from before, and announces those again', async () => {
  const { state, joined, tried, routesTo } = await join({ own: [PAID], handlers: [PAID] })
  state.isAway = true
  await expect(joined.replaceOwn([LOST], compileRoutes([LOST]))).rejects.toThrow('no database')
  state.isAway = false
  await tried(2)
  expect(state.announced.at(-1)).toMatchObject({ handlers: [PAID] })
  expect(routesTo('order.paid')).toEqual(['paid'])
})

test('a process that runs no handlers announces none', async () => {
  const { state } = await join({ own: undefined, handlers: [PAID] })
  expect(state.announced).toMatchObject([{ handlers: undefined }])
})

test('a process cannot route before a worker has registered, and then follows each change of the handlers', async () => {
  const { state, joined, tried, routesTo, logged } = await join({ handlers: undefined })
  expect(joined.faults()).toEqual(['no worker has registered its handlers yet'])
  expect(joined.handlers()).toEqual([])
  expect(() => routesTo('order.paid')).toThrow(expect.objectContaining({ code: 'unavailable' }))
  state.handlers = [PAID]
  await tried(2)
  expect([joined.faults(), routesTo('order.paid')]).toEqual([[], ['paid']])
  state.handlers = [LOST]
  await tried(2)
  expect([routesTo('order.paid'), routesTo('order.lost')]).toEqual([[], ['lost']])
  expect(logged('not accepted yet')).toMatchObject([{ reason: 'no worker has registered its handlers yet' }])
  expect(logged('have changed')).toMatchObject([
    { added: ['paid'], removed: [] },
    { added: ['lost'], removed: ['paid'] },
  ])
})

test('a worker without handlers registers an empty list, and every event is unhandled', async () => {
  const { joined } = await join({ handlers: [] })
  expect(joined.faults()).toEqual([])
  expect(joined.route(ai, fields('order.paid')).status).toBe('unhandled')
})

test('a new worker with the same handlers is not logged as a change', async () => {
  const { state, joined, tried, logged } = await join({ handlers: [PAID] })
  const known = joined.handlers()
  state.handlers = [{ ...PAID }]
  await tried(2)
  expect(joined.handlers()).toBe(known)
  expect(logged('have changed')).toEqual([])
})

test('the routes stay while the registry is unavailable, which is logged once for each outage', async () => {
  const { state, joined, tried, routesTo, logged } = await join({ handlers: [PAID], announceMs: 0 })
  for (let outage = 1; outage <= 2; outage++) {
    state.isAway = true
    const { length } = state.announced
    await eventually(
      async () => logged('cannot be read').length,
      (count) => count === outage,
    )
    await tried(5)
    expect([joined.faults(), routesTo('order.paid')]).toEqual([[], ['paid']])
    state.isAway = false
    await tried(2)
    expect(state.announced.length).toBeGreaterThan(length)
    expect([logged('cannot be read').length, logged('can be read').length]).toEqual([outage, outage])
  }
})

/** Handlers with schemas, none of which has been compiled before. */
const withSchemas = (prefix: string): readonly HandlerDefinition[] =>
  Array.from({ length: 40 }, (_, n) => {
    const names = Array.from({ length: 4 }, (_name, at) => `${prefix}_${n}_${at}`)
    const properties = Object.fromEntries(names.map((name, at) => [name, { type: 'string', maxLength: at + 1 }]))
    return { name: `${prefix}${n}`, types: [`${prefix}.*`], schema: { type: 'object', properties, required: names } }
  })

test('the schemas of a new worker are compiled one per turn of the event loop, and known schemas are not compiled again', async () => {
  const { state, joined, tried, routesTo } = await join({ handlers: [PAID] })
  state.handlers = [PAID, ...withSchemas('after')]
  while (joined.handlers().length === 1) await tried(1)
  expect(routesTo('order.paid')).toEqual(['paid'])
  expect(joined.route(ai, fields('after.a')).status).toBe('quarantined')

  let turns = 0
  let isCompiled = false
  const countTurns = (): void => {
    turns++
    if (!isCompiled) setImmediate(countTurns)
  }
  setImmediate(countTurns)
  const routes = await compileBetween(state.handlers, new Map())
  isCompiled = true
  expect(turns).toBeGreaterThanOrEqual(state.handlers.length)
  const next = await compileBetween([LOST, ...state.handlers.slice(1)], routes)
  expect([...next.values()].filter((route) => [...routes.values()].includes(route))).toHaveLength(40)
})

test('a process stops even if the registry cannot be told that it leaves', async () => {
  const { state, joined, logged } = await join({ handlers: [PAID] })
  state.isAway = true
  await joined.leave()
  expect(state.left).toEqual([])
  expect(logged('could not tell').length + logged('cannot be read').length).toBeGreaterThan(0)
})

test('handlers that this release cannot route to leave the routes as they were, and are logged once', async () => {
  const { state, joined, tried, routesTo, logged } = await join({ handlers: [PAID] })
  state.handlers = [PAID, ODD]
  await tried(4)
  expect([joined.faults(), routesTo('order.paid')]).toEqual([[], ['paid']])
  expect(joined.handlers()).toEqual([PAID])
  expect(logged('cannot be routed to')).toMatchObject([{ error: expect.stringContaining('odd') }])
  state.handlers = [LOST]
  await tried(2)
  expect(routesTo('order.lost')).toEqual(['lost'])
})

test('a process that has only read handlers that its release cannot route to is not ready, and gives the reason', async () => {
  const { joined, routesTo } = await join({ handlers: [ODD] })
  expect(joined.faults()).toEqual([
    expect.stringMatching(/^events cannot be routed to the handlers of the replicas: handler odd/),
  ])
  expect(() => routesTo('order.paid')).toThrow(expect.objectContaining({ code: 'unavailable' }))
})

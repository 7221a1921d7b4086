import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROBLEMS } from '../../src/domain/problem.ts'
import type { ServiceStatus } from '../../src/domain/status.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { createConsole } from '../../src/http/console/console.ts'
import { mendingOf } from '../../src/http/console/pages/overview-problems.ts'
import type { ConsoleOptions } from '../../src/http/console/ports.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'

let store: OpenStore
beforeAll(async () => {
  store = await openEmptyStore()
})
afterAll(() => store.close())

const NOW_MS = Date.parse('2026-11-26T03:12:41Z')

/** Pages of a console whose ports are as given. */
function consoleWith(given: Partial<ConsoleOptions> = {}): (path: string) => Promise<{ status: number; text: string }> {
  const ports = { ...consolePorts(store, NOW_MS), ...given }
  const app = createOpsListener({ ...ports, console: createConsole(ports) })
  return async (path) => {
    const { statusCode, body } = await app.inject({ url: path, headers: { host: 'localhost' } })
    return { status: statusCode, text: body }
  }
}

const away = async (): Promise<never> => {
  throw new Error('the disk is gone')
}

const STATUS: ServiceStatus = {
  atMs: NOW_MS,
  startedAtMs: NOW_MS - 60_000,
  role: 'all',
  problems: [],
  store: { kind: 'postgres', faults: [], bytes: 1_000, freeBytes: undefined },
  counts: undefined,
  recent: undefined,
  lastEventAtMs: NOW_MS - 3_000,
  sources: 1,
  handlers: 1,
  workers: 3,
}

test('with the store away the overview still answers, says what cannot be done, and leaves out what only the store knows', async () => {
  const page = await consoleWith({
    status: async () => ({
      ...STATUS,
      store: { ...STATUS.store, faults: ['the disk is full'] },
      problems: [
        { problem: 'store_failing', severity: 'critical', summary: 'events cannot be stored', count: 1, cause: 'full' },
      ],
    }),
    recentStats: away,
    day: away,
    deadCauses: away,
    sourceState: away,
    replicas: away,
  })('/console')
  expect(page.status).toBe(200)
  expect(page.text).toContain('Not receiving. One thing needs a hand.')
  expect(page.text).toContain('Events cannot be stored')
  expect(page.text).toContain('The store does not give its numbers now')
  expect(page.text).not.toContain('storing')
})

test('while events cannot be stored, every page says that none are received, and why', async () => {
  const open = consoleWith({ readiness: () => ['the disk is full: 0 bytes are free'] })
  for (const path of ['/console/events', '/console/handlers', '/console/audit', '/console/nowhere'])
    expect((await open(path)).text, path).toMatch(/Not receiving\.<\/b> <bdi>the disk is full: 0 bytes are free/)
  expect((await consoleWith()('/console/events')).text).not.toContain('Not receiving')
})

test('if nothing needs a hand the overview says so, with the last event, and lists the replicas', async () => {
  const replica = { role: 'all', handlers: 2, sinceMs: NOW_MS - 7_200_000, seenAtMs: NOW_MS - 4_000 } as const
  const page = await consoleWith({
    status: async () => STATUS,
    replicas: async () => [
      { ...replica, uid: '01a21e61-4108-7968-a6b1-000000000001' },
      { ...replica, uid: '01a21e61-4108-7968-a6b1-000000000002' },
    ],
  })('/console')
  expect(page.text).toMatch(/Receiving\. Nothing needs a hand\. Last event <time[^>]*>3\.0 s ago/)
  expect(page.text).toContain('3 replicas')
  expect(page.text).toContain('…000000000002')
  expect(page.text).toContain('4.0 s ago')
})

test('a page with numbers in every step stays small, and has them as a table too', async () => {
  const times = { count: 9, meanMs: 1, p50Ms: 12.34, p99Ms: 234.5 }
  const total = {
    received: 98_765,
    duplicates: 1,
    refused: new Map(),
    handled: 98_765,
    failed: 12_345,
    dead: 1,
    recovered: 0,
    quarantined: 0,
    expired: 0,
    ack: times,
    handler: times,
    queue: times,
  }
  const sinceMs = Math.floor(NOW_MS / 900_000) * 900_000 - 95 * 900_000
  const points = Array.from({ length: 96 }, (_, at) => ({ atMs: sinceMs + at * 900_000, ...total }))
  const page = await consoleWith({
    recentStats: async () => ({ sinceMs, untilMs: sinceMs + 96 * 900_000, stepSeconds: 900, total, points }),
  })('/console')
  expect(page.text.length).toBeLessThan(100_000)
  expect(page.text).toMatch(
    /<td>03:00<\/td><td class="num">98,765<\/td><td class="num">98,765<\/td><td class="num">12,345<\/td>/,
  )
  expect(page.text).toContain('98,765 received, 98,765 attempts succeeded, 12,345 failed; most at')
})

const NO_HEALTH = {
  lastWebhookAtMs: undefined,
  usualGapMs: undefined,
  silentSinceMs: undefined,
  refusingSinceMs: undefined,
  refusingReason: undefined,
}

test('while the store does not answer, no page of a source or a handler says that all is well, or counts nothing as none', async () => {
  const never = (): Promise<never> => new Promise(() => {})
  const { sources } = consolePorts(store, NOW_MS)
  const [name = ''] = sources().map((source) => source.name)
  const mute = Object.assign(Object.create(store), {
    facets: { ...store.facets, waiting: never, namesWith: never },
    events: never,
    deliveries: never,
    driftEntries: never,
  })
  const page = consoleWith({
    store: mute,
    status: never,
    day: never,
    deadCauses: never,
    sourceState: never,
    sourceHealth: () => NO_HEALTH,
    handlers: () => [{ name: 'billing', types: ['*'], handle: async () => {} }],
  })
  const pages = await Promise.all(
    ['/console/handlers', '/console/handlers/billing', '/console/sources', `/console/sources/${name}`].map(page),
  )
  for (const { status, text } of pages) {
    expect(status).toBe(200)
    expect(text).toContain('not known')
    expect(text).not.toMatch(/steady|It keeps up|receiving|none yet|nothing waits|> ?0</)
  }
})

test('a source is turned away while events cannot be stored, and not silent any more once a webhook has come again', async () => {
  const lastWebhookAtMs = NOW_MS - 5_000
  const sourceState = async () => ({ lastWebhookAtMs: 0, recovered: 0, breaker: null, silentSinceMs: undefined })
  const silentSinceMs = NOW_MS - 600_000
  const page = consoleWith({ sourceState, sourceHealth: () => ({ ...NO_HEALTH, lastWebhookAtMs, silentSinceMs }) })
  expect((await page('/console/sources')).text).toContain('receiving')
  const problem = { problem: 'store_failing', severity: 'critical', summary: 'none', count: 1 } as const
  const full = consoleWith({
    sourceState,
    status: async () => ({ ...STATUS, problems: [problem] }),
    sourceHealth: () => ({ ...NO_HEALTH, lastWebhookAtMs }),
  })
  const { text } = await full('/console/sources')
  expect(text).toContain('turned away')
  expect(text).not.toContain('receiving')
})

test('many pages that are open cost one reading of the numbers', async () => {
  let readings = 0
  const { recentStats } = consolePorts(store, NOW_MS)
  const page = consoleWith({
    recentStats: (period) => {
      readings++
      return recentStats(period)
    },
  })
  await Promise.all(Array.from({ length: 20 }, () => page('/console/part/overview?range=1h')))
  await page('/console?range=1h')
  expect(readings).toBe(1)
})

test.each(PROBLEMS)('the link of the problem %s leads to a page', async (problem) => {
  const page = consoleWith()
  for (const about of [{}, { source: 'ai' }, { source: 'ai', handler: 'log' }]) {
    const { path } = mendingOf({ problem, ...about })
    expect({ path, status: (await page(path)).status }).toEqual({ path, status: 200 })
  }
})

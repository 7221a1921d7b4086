import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SettingInForce } from '../../src/domain/configuration.ts'
import type { DeadCause } from '../../src/domain/dead-letters.ts'
import type { DeliverySummary } from '../../src/domain/delivery.ts'
import type { EventSummary } from '../../src/domain/event.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { createConsole } from '../../src/http/console/console.ts'
import { deliveriesInWords } from '../../src/http/console/pages/samples.ts'
import type { ConsolePorts } from '../../src/http/console/ports.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { newEvent, START_MS } from '../contract/store-samples.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'

const NOW_MS = START_MS + 3_600_000
const MAX_PAGE_BYTES = 100_000

/** What takes the most room in a page: quotes, and marks of direction, which a page shows as boxes. */
const dear = (length: number, at: number): string => `${at} ${'"\u202e"\u2066'.repeat(length)}`.slice(0, length)

let store: OpenStore
beforeAll(async () => {
  store = await openEmptyStore()
})
afterAll(() => store.close())

async function read(path: string, given: Partial<ConsolePorts>): Promise<string> {
  const ports = { ...consolePorts(store, NOW_MS), ...given }
  const app = createOpsListener({ ...ports, console: createConsole(ports) })
  const { statusCode, body } = await app.inject({ url: `/console${path}`, headers: { host: 'localhost' } })
  await app.close()
  expect({ path, statusCode }).toEqual({ path, statusCode: 200 })
  return body
}

const unescaped = (text: string): string => text.replaceAll('&#x2F;', '/').replaceAll('&#x3D;', '=')

const bytesOf = (text: string): number => Buffer.byteLength(text)

const storeWith = (events: readonly EventSummary[], deliveries: readonly DeliverySummary[]): OpenStore =>
  Object.assign(Object.create(store) as OpenStore, {
    events: async () => ({ items: events, nextCursor: undefined }),
    deliveries: async () => ({ items: deliveries.slice(0, 30), nextCursor: undefined }),
    facets: Object.assign(Object.create(store.facets), { deliveriesOf: async () => deliveries }),
  })

/** Thirty events with so many handlers, of which each has failed. */
function failing(handlers: number, text: (length: number, at: number) => string): OpenStore {
  const events = Array.from({ length: 30 }, (_, at) => ({
    ...newEvent({ type: text(256, at), receivedAtMs: NOW_MS - at }),
    outcome: 'dead' as const,
    sizeBytes: 20,
  }))
  const deliveries = events.flatMap(({ uid, source, type, receivedAtMs }) =>
    Array.from({ length: handlers }, (_, at) => ({
      eventUid: uid,
      source,
      type,
      receivedAtMs,
      handler: text(100, at),
      state: at === handlers - 1 ? ('dead' as const) : ('pending' as const),
      attempts: 2,
      dueAtMs: NOW_MS + 60_000,
      lastError: text(1_000, at),
    })),
  )
  return storeWith(events, deliveries)
}

test('a list of events names the worst delivery of each, with its error, and counts the others if there are many', async () => {
  const text = await read('/part/events', { store: failing(200, (_, at) => `h${at}`) })
  expect(text.replaceAll(/<[^>]*>/g, '')).toContain('h199 after 2 attempts: h199· 199 more pending')
  expect(bytesOf(text)).toBeLessThan(MAX_PAGE_BYTES / 2)
})

test.each([
  ['list of events with 200 handlers', '/events', 200],
  ['list of dead letters', '/dead/list', 1],
  ['search with a long text', `/events?q=${encodeURIComponent(`"${'é'.repeat(200)}"`)}`, 3],
])('a page stays under 100 kB however long the texts of others are: a %s', async (_, path, handlers) => {
  expect(bytesOf(await read(path, { store: failing(handlers, dear) }))).toBeLessThan(MAX_PAGE_BYTES)
})

test('the deliveries of an event that is to be replayed are counted after the first three', () => {
  const deliveries = Array.from({ length: 200 }, (_, at) => ({
    handler: `h${at}`,
    state: at < 150 ? 'succeeded' : 'dead',
  })) as unknown as readonly DeliverySummary[]
  const words = deliveriesInWords(deliveries, ({ state }) => state === 'dead').toString()
  expect(words.replaceAll(/<[^>]*>/g, '')).toBe(
    ' h150 dead, runs again ·  h151 dead, runs again ·  h152 dead, runs again · 47 more dead, run again · 150 succeeded, stay as they are',
  )
})

test('the page of dead letters has as many groups as there is room for, and leads to the next one', async () => {
  const causes = Array.from(
    { length: 40 },
    (_, at): DeadCause => ({
      id: `c${at}`,
      signature: dear(300, at),
      at: dear(200, at),
      handler: dear(256, at),
      source: 'stripe',
      count: 40 - at,
      isCapped: false,
      firstAtMs: START_MS,
      lastAtMs: NOW_MS,
      hourly: Array.from({ length: 24 }, (_each, hour) => hour * 7),
    }),
  )
  const deadCauses = async () => ({ causes, unnamed: 0 }) as never
  const seen: string[] = []
  for (let next: string | undefined = '/dead'; next !== undefined; ) {
    const text: string = await read(next, { deadCauses })
    expect(bytesOf(text)).toBeLessThan(MAX_PAGE_BYTES)
    seen.push(...[...text.matchAll(/<article class="group" id="([^"]*)"/g)].map(([, id = '']) => id))
    next = /rel="next" href="\/console(\/dead\?[^"]*)"/.exec(unescaped(text))?.[1]
  }
  expect(new Set(seen).size).toBe(40)
  expect(seen.length).toBe(40)
})

test('the configuration has the settings of a source when they are asked for, if there are many sources', async () => {
  const meaning =
    'The secrets that a provider signs its webhooks with, separated by commas; the newest one is the first'
  const settings = Array.from({ length: 60 }, (_, source) =>
    Array.from(
      { length: 10 },
      (_each, at): SettingInForce => ({
        name: `SOURCE_S${source}_SETTING_${at}`,
        group: 'Sources',
        source: `s${source}`,
        meaning,
        from: 'environment',
        value: 'x'.repeat(100),
        isFixed: true,
      }),
    ),
  ).flat()
  const configuration = () => ({
    settings,
    needRestart: [],
    warnings: [],
    lastReload: { ok: true, succeededAtMs: NOW_MS } as const,
  })
  const text = await read('/config', { configuration })
  expect(bytesOf(text)).toBeLessThan(MAX_PAGE_BYTES)
  expect(text).not.toContain('SOURCE_S59_SETTING_9')
  expect(unescaped(text)).toContain('href="/console/config?source=s59#settings-of-s59"')
  expect(await read('/config?source=s59', { configuration })).toContain('SOURCE_S59_SETTING_9')
})

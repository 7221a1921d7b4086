import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SourceHealth } from '../../src/domain/source-health.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { createConsole } from '../../src/http/console/console.ts'
import type { ConsoleOptions } from '../../src/http/console/ports.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { newEvent } from '../contract/store-samples.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'

const NOW_MS = Date.now()
const MINUTE_MS = 60_000

let store: OpenStore
beforeAll(async () => {
  store = await openEmptyStore()
})
afterAll(() => store.close())

/** The console and the API over the same ports. */
function openWith(given: Partial<ConsoleOptions>) {
  const ports = { ...consolePorts(store, NOW_MS), ...given }
  const app = createOpsListener({ ...ports, console: createConsole(ports) })
  const get = async (path: string) => {
    const { statusCode, body } = await app.inject({ url: path, headers: { host: 'localhost' } })
    return { status: statusCode, text: body }
  }
  return { get, api: async (path: string) => JSON.parse((await get(path)).text) }
}

const HEALTHY: SourceHealth = {
  lastWebhookAtMs: NOW_MS - 90 * MINUTE_MS,
  usualGapMs: 4 * MINUTE_MS,
  silentSinceMs: undefined,
  refusingSinceMs: undefined,
  refusingReason: undefined,
}
const calm = {
  lastWebhookAtMs: NOW_MS - 90 * MINUTE_MS,
  recovered: 0,
  breaker: 'closed',
  silentSinceMs: undefined,
} as const

/** What a person reads. */
const read = (text: string): string => text.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')
const rowOf = (text: string, id: string): string =>
  read(new RegExp(`<tr role="row" id="${id}">.*?</tr>`, 's').exec(text)?.[0] ?? '')

test.each([
  ['by its rhythm', { health: { silentSinceMs: NOW_MS - 90 * MINUTE_MS }, state: {}, why: 'usually one every 4 min' }],
  [
    'since its tasks end only by poll',
    {
      health: {},
      state: { silentSinceMs: NOW_MS - 90 * MINUTE_MS, recovered: 5 },
      why: 'and 5 tasks of the last hour ended by a poll',
    },
  ],
])(
  'a source that is silent %s is silent in the list, on its page and in the API',
  async (_, { health, state, why }) => {
    const { get, api } = openWith({
      sourceHealth: () => ({ ...HEALTHY, ...health }),
      sourceState: async () => ({ ...calm, ...state }),
    })
    const since: string = (await api('/v1/sources')).items[0].silent_since
    expect(since).toBe(new Date(NOW_MS - 90 * MINUTE_MS).toISOString())
    expect(rowOf((await get('/console/sources')).text, 'source-ai')).toContain(`silent nothing for 1 h 30 min, ${why}`)
    const page = (await get('/console/sources/ai')).text
    expect(page).toContain(`No webhook has come since <time datetime="${since}">`)
    expect(read(page)).toContain(why)
  },
)

test.each(['open', 'half_open'] as const)(
  'a source whose circuit breaker is %s tells what it waits for',
  async (breaker) => {
    const { get } = openWith({ sourceHealth: () => HEALTHY, sourceState: async () => ({ ...calm, breaker }) })
    const text = read((await get('/console/sources/ai')).text)
    expect(text).toContain(
      `breaker ${breaker.replace('_', ' ')} Calls to the provider's API have failed. The service has paused them.`,
    )
    expect(text).toContain('webhooks arrive all the same')
  },
)

test('what may change of a source while one looks at it stands in a part that the page asks for again', async () => {
  let breaker: 'open' | 'closed' = 'open'
  let verified = 0
  const { get } = openWith({
    sourceHealth: () => HEALTHY,
    sourceState: async () => ({ ...calm, breaker }),
    secretUses: () => [{ place: 1, verified, lastVerifiedAtMs: undefined, sinceMs: NOW_MS }],
  })
  const { text } = await get('/console/sources/ai')
  const parts = [...text.matchAll(/hx-get="([^"]*)"/g)].map(([, path = '']) => path.replaceAll('&#x2F;', '/'))
  expect(read(text)).toContain('breaker open')
  breaker = 'closed'
  verified = 41
  const again = async () => (await Promise.all(parts.map(async (path) => read((await get(path)).text)))).join(' ')
  await expect.poll(again).toContain('breaker closed: calls go through')
  expect(await again()).toContain('verified 41')
})

test('with the store away the pages of sources and handlers still answer, with what the process itself knows', async () => {
  const away = async (): Promise<never> => {
    throw new Error('the disk is gone')
  }
  const broken = new Proxy(store, {
    get: (_, name) => (name === 'facets' || name === 'payloadIndex' ? new Proxy({}, { get: () => away }) : away),
  })
  const { get } = openWith({
    store: broken,
    sourceHealth: () => HEALTHY,
    sourceState: away,
    day: away,
    deadCauses: away,
  })
  for (const path of ['/console/sources', '/console/sources/ai', '/console/handlers', '/console/handlers/log'])
    expect({ path, status: (await get(path)).status }).toEqual({ path, status: 200 })
  expect(read((await get('/console/sources/ai')).text)).toContain('Webhooks arrive: the last one came 1 h 30 min ago')
  expect(read((await get('/console/handlers/log')).text)).toContain('The store did not tell in time')
})

test('a handler that no code has any more is listed first as missing while deliveries wait for it', async () => {
  await store.append(newEvent({ source: 'ai', handlers: ['renamed'] }))
  const before = consolePorts(store, NOW_MS)
  const { get } = openWith({
    status: async () => ({
      ...(await before.status()),
      problems: [{ problem: 'handler_missing', severity: 'critical', summary: '', count: 1, handler: 'renamed' }],
    }),
  })
  const { text } = await get('/console/handlers')
  expect(rowOf(text, 'handler-renamed')).toContain('missing 1 delivery waits')
  expect(text.indexOf('handler-renamed')).toBeLessThan(text.indexOf('handler-log'))
  const page = await get('/console/handlers/renamed')
  expect(page.status).toBe(200)
  expect(read(page.text)).toContain('No process has a handler of this name any more, and 1 delivery waits for it.')
  expect(page.text).not.toContain('/console/handlers/renamed/pause')
})

test('thirty sources stand on a page, those first that need a hand', async () => {
  const [ai] = consolePorts(store, NOW_MS).sources()
  if (ai === undefined) throw new Error('no source')
  const { get } = openWith({
    sources: () => Array.from({ length: 61 }, (_, at) => ({ ...ai, name: `s${at}` })),
    sourceHealth: (name) => (name === 's60' ? { ...HEALTHY, silentSinceMs: NOW_MS } : HEALTHY),
    sourceState: async () => calm,
  })
  const namesOn = async (path: string) =>
    [...(await get(path)).text.matchAll(/id="source-(\w+)"/g)].map(([, name]) => name)
  const first = await namesOn('/console/sources')
  expect(first).toHaveLength(30)
  expect(first[0]).toBe('s60')
  expect((await get('/console/sources')).text).toContain('from&#x3D;30')
  expect(await namesOn('/console/sources?from=60')).toEqual(['s59'])
})

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { createConsole } from '../../src/http/console/console.ts'
import type { ConsoleOptions } from '../../src/http/console/ports.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'

const NOW_MS = START_MS + 3_600_000
const TOKENS = { tokens: ['token-0123456789'], readTokens: ['read-0123456789'], host: '127.0.0.1', allowedHosts: [] }

let store: OpenStore
let page: (query: string, token?: string) => Promise<{ status: number; text: string }>

/** 31 paid invoices, of which the first is dead, and one that no handler wants. */
beforeAll(async () => {
  store = await openEmptyStore()
  for (let at = 0; at < 31; at++)
    await store.append(
      newEvent({
        id: `evt_${at}`,
        receivedAtMs: START_MS + at,
        body: Buffer.from(`{"number":${at},"note":"blue bicycle"}`),
      }),
    )
  await store.append(
    newEvent({ source: 'shop', type: 'charge', status: 'unhandled', handlers: [], receivedAtMs: START_MS + 31 }),
  )
  const { work } = await store.claim(claimRequest())
  const failed = { verdict: 'dead', outcome: 'failed', error: 'connect ECONNREFUSED <db>' } as const
  await store.settle(work.map((each) => settlement(each, each.event.id === 'evt_0' ? failed : {})))
  page = openConsole()
})
afterAll(() => store.close())

function openConsole(given: Partial<ConsoleOptions> = {}): typeof page {
  const ports = {
    ...consolePorts(store, NOW_MS),
    access: () => TOKENS,
    ...given,
  }
  const app = createOpsListener({ ...ports, console: createConsole(ports) })
  return async (path, token = 'token-0123456789') => {
    const headers = { host: 'localhost', authorization: `Bearer ${token}` }
    const { statusCode, body } = await app.inject({ url: `/console${path}`, headers })
    return { status: statusCode, text: body }
  }
}

const find = (words: string, token?: string) => page(`/events?q=${encodeURIComponent(words)}`, token)
/** The text that a person reads. */
const read = (text: string): string => text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')
const unescaped = (text: string): string =>
  text
    .replaceAll('&amp;', '&')
    .replace(/&#x?([0-9a-f]+);/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
const linksIn = (text: string): readonly string[] =>
  [...text.matchAll(/href="([^"]+)"/g)].map(([, link = '']) => unescaped(link))

test('a search shows the events that match, what became of them, and what was understood', async () => {
  const { status, text } = await find('outcome:dead number:0 since:2h')
  expect(status).toBe(200)
  expect(text.match(/<tr role="row" id="e-/g)).toHaveLength(1)
  expect(read(text)).toContain('a : connect ECONNREFUSED &lt;db&gt;')
  expect(read(text)).toContain('since 09:00:00')
  const removed = linksIn(text).filter((link) => link.startsWith('/console/events?q='))
  expect(removed).toContain(`/console/events?q=${new URLSearchParams({ '': 'number:0 since:2h' }).toString().slice(1)}`)
})

test('the tabs count the events of each outcome, and the list leads to older ones', async () => {
  const { text } = await page('/events')
  // A count that takes too long is left out.
  await expect
    .poll(async () => read((await page('/events')).text))
    .toMatch(/all 32 succeeded 30 pending 0 failing 0 dead 1 discarded 0 no handler 1/)
  expect(text.match(/<tr role="row" id="e-/g)).toHaveLength(30)
  const [older = ''] = linksIn(text).filter((link) => link.includes('cursor=') && link.startsWith('/console/events?'))
  const second = await page(older.slice('/console'.length))
  expect(second.text.match(/<tr role="row" id="e-/g)).toHaveLength(2)
  expect(read(second.text)).toContain('There are no older ones.')
})

test('counts that are not known in time are refused to a page that has some', async () => {
  const facets = Object.assign(Object.create(store.facets) as OpenStore['facets'], {
    countByOutcome: () => Promise.reject(new Error('away')),
  })
  const open = openConsole({ store: Object.assign(Object.create(store) as OpenStore, { facets }) })
  expect((await open('/part/events/outcomes?q=')).status).toBe(503)
  expect((await open('/part/events/outcomes?q=bicycle')).status).toBe(200)
})

test('a search that is not understood is answered 400 beside the field, with the words kept', async () => {
  const { status, text } = await find('note:"<b>" outcome:bad')
  expect(status).toBe(400)
  expect(read(text)).toContain('outcome:bad: one of succeeded')
  expect(text).toContain('value="note:&quot;&lt;b&gt;&quot; outcome:bad"')
  expect(text).toContain('aria-invalid="true"')
})

test('where nothing matches, the page says what would with one word less', async () => {
  await expect
    .poll(async () => read((await find('outcome:dead source:shop')).text))
    .toMatch(/No event matches\. Without outcome:dead there is 1 .*Without source:shop there is 1 /)
  const { text } = await find('outcome:dead source:shop')
  expect(linksIn(text)).toContain('/console/events?q=source%3Ashop')
  await expect
    .poll(async () => read((await find('source:none type:none')).text))
    .toContain('None does with one word less, either.')
})

test('what is selected is confirmed elsewhere, and all that match are a search that has an end', async () => {
  const { text } = await find('outcome:dead since:2h')
  expect(text).toMatch(/<form method="get" action="\/console\/replay"[^>]*>/)
  expect(text.match(/<input type="checkbox" name="uid"/g)).toHaveLength(1)
  expect((await page('/replay?of=selection')).status).toBe(400)
  const frozen = encodeURIComponent(
    `outcome:dead since:${new Date(NOW_MS - 7_200_000).toISOString()} until:${new Date(NOW_MS).toISOString()}`,
  )
  expect(linksIn(text)).toContain(`/console/replay?q=${frozen}`)
  expect(linksIn(text)).toContain(`/console/discard?q=${frozen}`)
})

test('who may only read is offered nothing to select', async () => {
  const { text } = await find('outcome:dead', 'read-0123456789')
  expect(text.match(/<tr role="row" id="e-/g)).toHaveLength(1)
  expect(text).not.toMatch(/checkbox|\/console\/replay\?|\/console\/discard/)
})

test('the search field is offered what exists', async () => {
  const offered = async (words: string): Promise<readonly string[]> => {
    const { text } = await page(`/part/suggest?q=${encodeURIComponent(words)}`)
    return [...text.matchAll(/value="([^"]*)"/g)].map(([, value = '']) => unescaped(value))
  }
  expect(await offered('outcome:dead so')).toEqual(['outcome:dead source:'])
  expect(await offered('type:i')).toEqual(['type:invoice.paid'])
  expect(await offered('inv')).toEqual(['type:invoice.paid'])
  expect(await offered('outcome:d')).toEqual(['outcome:dead', 'outcome:discarded'])
  expect(await offered('')).toContain('source:shop')
})

test('many pages with the same search cost one reading of the store', async () => {
  let readings = 0
  const counting = Object.assign(Object.create(store) as OpenStore, {
    events: (...args: Parameters<OpenStore['events']>) => {
      readings++
      return store.events(...args)
    },
  })
  const open = openConsole({ store: counting })
  const answers = await Promise.all(Array.from({ length: 20 }, () => open('/part/events?q=outcome%3Adead')))
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  expect(readings).toBe(1)
  await open('/part/events?q=outcome%3Adead', 'read-0123456789')
  expect(readings).toBe(2)
})

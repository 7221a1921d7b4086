import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WebhookEvent } from 'holdfast'
import { recorded, runHandler } from 'holdfast/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { signRequest } from '../../src/signatures/registry.ts'
import { standardWebhooks } from '../../src/signatures/standard-webhooks.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService

beforeAll(async () => {
  service = await startLocal({
    HANDLERS_DIR: join(import.meta.dirname, 'modules'),
    OPS_TOKEN: 'a-token-for-tests',
    SOURCE_AI_KEYS: 'data.order,data.lines.id',
  })
})

const events = (...args: string[]) => run(['events', ...args], service.environment)

/** Resolves when every delivery of an event has ended. */
const ended = (uid: string) =>
  eventually(
    () => service.api(`/v1/events/${uid}`),
    ({ deliveries }) => deliveries.every(({ state }: { state: string }) => state === 'dead' || state === 'succeeded'),
  )

test('events list lists events newest first, in aligned columns', async () => {
  const first = await post(service.publicUrl, signedEvent('acme.thing'))
  const second = await post(service.publicUrl, signedEvent('acme.unwanted.thing'))
  const { code, out } = await events('list', '--type', 'acme.*thing')
  expect(code).toBe(0)
  const [heading = '', ...lines] = out.trimEnd().split('\n')
  expect(heading.split(/ {2,}/)).toEqual(['RECEIVED', 'UID', 'SOURCE', 'TYPE', 'STATUS', 'OUTCOME'])
  expect(lines.map((line) => line.split(/ {2,}/).slice(1))).toEqual([
    [second.uid, 'ai', 'acme.unwanted.thing', 'unhandled', 'none'],
    [first.uid, 'ai', 'acme.thing', 'accepted', expect.stringMatching(/^(?:pending|failing|succeeded|dead)$/)],
  ])
  expect(new Set(lines.map((line) => line.indexOf(' ai ')))).toEqual(new Set([heading.indexOf('SOURCE') - 1]))
})

test('events list narrows its list by filters, and --json prints the items of the API', async () => {
  const sent = signedEvent('acme.thing')
  const { uid } = await post(service.publicUrl, sent)
  const uids = async (...filter: string[]) =>
    JSON.parse((await events('list', '--json', ...filter)).out).items.map((item: { uid: string }) => item.uid)
  const matching = [
    '--type',
    'acme.th*',
    '--source',
    'ai',
    '--origin',
    'webhook',
    '--status',
    'accepted',
    '--since',
    '1h',
  ]
  expect(await uids('--q', sent.id)).toEqual([uid])
  expect(await uids('--q', sent.id, ...matching)).toEqual([uid])
  expect(await uids('--q', sent.id, '--status', 'unhandled')).toEqual([])
  expect(await uids('--q', sent.id, '--until', '1h')).toEqual([])
  expect(await uids('--q', sent.id, '--type', 'acme.un*')).toEqual([])
  expect(await uids('--since', '2020-01-01T00:00:00+02:00', '--until', '2020-01-02')).toEqual([])
})

test('events list that reaches its limit prints how to go on', async () => {
  for (let count = 0; count < 3; count++) await post(service.publicUrl, signedEvent('acme.paged'))
  const page = await events('list', '--type', 'acme.paged', '--limit', '2')
  expect(page.out.trimEnd().split('\n')).toHaveLength(3)
  const [, cursor = ''] = /^more: --cursor (\S+)$/m.exec(page.err) ?? []
  const rest = await events('list', '--type', 'acme.paged', '--cursor', cursor)
  expect(rest.out.trimEnd().split('\n')).toHaveLength(2)
  expect(rest.err).toBe('')
})

test('events list keeps to a limit that is larger than a page of the API', async () => {
  expect((await run(['send', 'ai', 'acme.unwanted', '--count', '230'], service.environment)).code).toBe(0)
  const { items, next_cursor } = JSON.parse((await events('list', '--limit', '220', '--json')).out)
  expect(new Set(items.map(({ uid }: { uid: string }) => uid)).size).toBe(220)
  expect(next_cursor).not.toBeNull()
  expect(JSON.parse((await events('list', '--limit', '500', '--json')).out)).toMatchObject({ next_cursor: null })
})

test('events show shows an event with its deliveries and attempts, and removes control characters', async () => {
  const sent = signedEvent('acme.thing', { colour: 'red' })
  const { uid } = await post(service.publicUrl, sent)
  await ended(uid)
  const { code, out } = await events('show', uid)
  expect(code).toBe(0)
  expect(out).toMatch(new RegExp(`^uid +${uid}$`, 'm'))
  expect(out).toMatch(new RegExp(`^id +${sent.id}$`, 'm'))
  expect(out).toMatch(/^received +.* from 127\.0\.0\.1$/m)
  expect(out).toMatch(/^verified by +secret 1 of 1$/m)
  expect(out).toMatch(/^fragile +dead +1 .*not mended yet \[31mred$/m)
  expect(out).toMatch(/^steady +succeeded +1 /m)
  expect(out).toMatch(/^\S+ +fragile +1 +rejected +\d+ ms +not mended yet/m)
  expect(out).not.toContain('\u001b')
  expect(JSON.parse((await events('show', uid, '--json')).out)).toMatchObject({ uid, id: sent.id })
})

test('events show names the events beside one, and tells how often it was sent again', async () => {
  const sent = signedEvent('acme.thing', { colour: 'blue' })
  const { uid } = await post(service.publicUrl, sent)
  const other = await post(service.publicUrl, signedEvent('acme.thing', { colour: 'green' }, sent.id))
  await post(service.publicUrl, sent)
  const { out } = await events('show', uid)
  expect(out).toMatch(/^sent again +once .* from 127\.0\.0\.1$/m)
  expect(out).toMatch(new RegExp(`^\\S+ +${other.uid} +in conflict about the id +conflict +acme\\.thing$`, 'm'))
  expect((await events('show', other.uid)).out).toMatch(new RegExp(`^\\S+ +${uid} +it has the id +accepted`, 'm'))
})

test('events show shows the payload as it reads, and events list finds it by what is in it', async () => {
  const body = `{"id":"evt_read","type":"acme.thing","data":{"n":820982911946154508,"who":"J\\u00f6rg \u202e","none":{}}}`
  const { uid } = await post(service.publicUrl, { id: 'evt_read', body, headers: signedHeaders(body) })
  const { out } = await events('show', uid)
  expect(out).toContain(`
{
  "id": "evt_read",
  "type": "acme.thing",
  "data": {
    "n": 820982911946154508,
    "who": "Jörg \\u202e",
    "none": {}
  }
}
`)
  const found = async (...filter: readonly string[]) => JSON.parse((await events('list', ...filter, '--json')).out)
  for (const filter of [
    ['--contains', 'JÖRG'],
    ['--match', 'data.n:820982911946154508', '--match', 'id:evt_read'],
  ])
    expect(await found(...filter)).toMatchObject({ items: [{ uid }], next_cursor: null })
  expect(await found('--match', 'data.n:820982911946154508', '--match', 'id:other')).toMatchObject({ items: [] })
  const { code, err } = await events('list', '--match', 'data.n')
  expect([code, err]).toEqual([2, expect.stringContaining('match must be <path>:<value>')])
})

test('events list finds an event by the index of SOURCE_<NAME>_KEYS, and events index tells that it is whole', async () => {
  const { uid } = await post(
    service.publicUrl,
    signedEvent('acme.thing', { order: 'o-77', lines: [{ id: 1 }, { id: 2 }] }),
  )
  const indexed = await events('index', '--json')
  expect(JSON.parse(indexed.out)).toEqual({
    items: [
      { source: 'ai', path: 'data.lines.id', share: 1 },
      { source: 'ai', path: 'data.order', share: 1 },
    ],
    complete: true,
  })
  const { out, code } = await events('list', '--match', 'data.order:o-77', '--match', 'data.lines.id:2', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ items: [{ uid }], next_cursor: null })
  expect((await events('index')).out).toBe('ai data.lines.id: 100 %, ai data.order: 100 %\n')
  expect(await service.api('/v1/suggest?field=path&prefix=data.o')).toEqual({ items: ['data.order'] })
  expect(await service.api('/v1/events/counts?source=ai&type=acme.unwanted.*')).toMatchObject({ none: { more: false } })
})

test('events show --body prints the exact bytes that were sent', async () => {
  const body = `{ "id":"evt_odd", "type":"acme.thing",\n "data":{"n":820982911946154508, "s":"\\u00e9é"} }\r\n`
  const { uid } = await post(service.publicUrl, { id: 'evt_odd', body, headers: signedHeaders(body) })
  const { bytes, code } = await events('show', uid, '--body')
  expect(code).toBe(0)
  expect(bytes.equals(Buffer.from(body))).toBe(true)
})

describe('events export', () => {
  test('writes an event as a file from which a test gets the very event again', async () => {
    const sent = signedEvent('acme.thing', { mended: service.directory })
    const { uid } = await post(service.publicUrl, { ...sent, headers: { ...sent.headers, 'x-acme': 'é' } })
    const file = join(service.directory, 'event.json')
    expect(await events('export', uid, '--out', file)).toMatchObject({ code: 0, out: '', err: '' })
    const { out } = await events('export', uid)
    expect(readFileSync(file, 'utf8')).toBe(out)
    const fixture = JSON.parse(out) as Record<string, unknown>
    expect(Object.keys(fixture)).toEqual([
      'format',
      'source',
      'provider',
      'type',
      'id',
      'uid',
      'received_at',
      'origin',
      'headers',
      'body',
    ])
    const { headers, received_at } = await service.api(`/v1/events/${uid}`)
    expect(fixture).toMatchObject({
      format: 'holdfast-event/1',
      uid,
      id: sent.id,
      headers,
      received_at,
      body: sent.body,
    })

    const seen: WebhookEvent[] = []
    const run = await runHandler((event) => void seen.push(event), recorded(file))
    expect(run).toMatchObject({ outcome: 'succeeded' })
    expect(seen[0]).toMatchObject({ uid, id: sent.id, type: 'acme.thing', source: 'ai', received_at })
    expect(seen[0]?.raw().equals(Buffer.from(sent.body))).toBe(true)
  })

  test('writes a body that is no UTF-8 as base64', async () => {
    const body = Buffer.from('{"id":"evt_latin","type":"acme.thing","data":"\xe9"}', 'latin1')
    const { headers } = signRequest(standardWebhooks, AI_SECRET, { id: 'evt_latin', body, nowMs: Date.now() })
    const answer = await fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', body, headers })
    const { uid } = (await answer.json()) as { uid: string }
    const fixture = JSON.parse((await events('export', uid)).out) as Record<string, unknown>
    expect(fixture).not.toHaveProperty('body')
    expect(Buffer.from(String(fixture.body_base64), 'base64').equals(body)).toBe(true)
  })

  test('fails in one line if the file cannot be written', async () => {
    const { uid } = await post(service.publicUrl, signedEvent('acme.thing'))
    const { code, err } = await events('export', uid, '--out', join(service.directory, 'missing/event.json'))
    expect(code).toBe(1)
    expect(err).toMatch(/^holdfast events export: ENOENT.*\n$/)
  })
})

test('events replay names the handlers that run again', async () => {
  const { uid } = await post(service.publicUrl, signedEvent('acme.thing'))
  await ended(uid)
  expect(await events('replay', uid, '--handler', 'steady')).toMatchObject({
    code: 0,
    out: `${uid} runs again: steady\n`,
  })
  expect(await events('replay', uid, '--handler', 'nobody')).toMatchObject({
    code: 4,
    err: expect.stringContaining('No such handler (404)'),
  })
})

test('events replay of an event without a handler says that nothing runs', async () => {
  const { uid } = await post(service.publicUrl, signedEvent('acme.unwanted'))
  expect(await events('replay', uid)).toMatchObject({ code: 1, out: `${uid} is unhandled; nothing runs\n` })
})

test.each([['show'], ['export'], ['replay']])(
  'events %s of an event that does not exist fails in one line',
  async (verb) => {
    const { code, out, err } = await events(verb, 'no/such?event')
    expect({ code, out }).toEqual({ code: 4, out: '' })
    expect(err).toBe(`holdfast events ${verb}: No such event (404): there is no event no/such?event\n`)
  },
)

test('a command with a wrong token fails and names OPS_TOKEN', async () => {
  const { code, err } = await run(['events', 'list'], { ...service.environment, OPS_TOKEN: 'another-token' })
  expect(code).toBe(77)
  expect(err).toContain('The bearer token is not valid (401)')
  expect(err).toContain('OPS_TOKEN')
})

test('events list prints the service’s own reason for refusing a filter', async () => {
  const { code, err } = await events('list', '--cursor', 'lost')
  expect(code).toBe(2)
  expect(err).toContain('The request is not valid (400)')
})

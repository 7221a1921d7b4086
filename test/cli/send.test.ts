import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { catalogue } from '../../src/domain/event-catalogue.ts'
import { temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService

beforeAll(async () => {
  service = await startLocal()
})

test('send prints the uid under which its event is stored', async () => {
  const { code, out, err } = await run(['send', 'ai', 'completion.finished'], service.environment)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^[0-9a-f-]{36}\n$/)
  const event = await service.api(`/v1/events/${out.trim()}`)
  expect(event).toMatchObject({ source: 'ai', type: 'completion.finished', status: 'accepted', origin: 'webhook' })
})

test.each(Object.keys(catalogue))(
  'send sends a sample of %s that is accepted and that a handler of its type takes',
  async (type) => {
    const { code, out, err } = await run(['send', 'ai', type], service.environment)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(await service.api(`/v1/events/${out.trim()}`)).toMatchObject({ type, status: 'accepted', reasons: [] })
  },
)

test('send --count sends events with ids of their own, and prints a summary', async () => {
  const { code, out } = await run(['send', 'ai', 'acme.many', '--count', '150'], service.environment)
  expect(code).toBe(0)
  expect(out).toMatch(/^150 of 150 events stored in [\d.]+ s \(\d+\/s\)\nacknowledged in [\d.]+ ms \(median\), /)
  expect(out).not.toContain('duplicates')
  expect((await service.api('/v1/events?type=acme.many&limit=200')).items).toHaveLength(150)
})

test('send takes its data from a file or from the standard input', async () => {
  const file = join(temporaryDirectory(), 'data.json')
  writeFileSync(file, '{"from":"file"}')
  for (const [name, from] of [
    [file, 'file'],
    ['-', 'stdin'],
  ] as const) {
    const sent = await run(
      ['send', 'ai', 'acme.thing', '--data', name, '--json'],
      service.environment,
      '{"from":"stdin"}',
    )
    const { uid, duplicate } = JSON.parse(sent.out)
    expect(duplicate).toBe(false)
    expect((await run(['events', 'show', uid, '--body'], service.environment)).out).toContain(
      `"data":{"from":"${from}"}`,
    )
  }
})

test.each([
  ['not JSON', '{', 'the standard input is not JSON'],
  ['no object', '[1]', 'the standard input holds no JSON object'],
])('send does not send data that is %s', async (_what, input, reason) => {
  const { code, err } = await run(
    ['send', 'ai', 'acme.thing', '--data', '-'],
    { SOURCE_AI_SECRET: 'whsec_aG9sZGZhc3QtdGVzdC1zZWNyZXQtMzItYnl0ZXMh' },
    input,
  )
  expect({ code, err }).toEqual({ code: 2, err: `holdfast send: ${reason}\n` })
})

test('send prints the title of the service’s refusal, once for many events', async () => {
  const environment = {
    ...service.environment,
    SOURCE_AI_SECRET: 'whsec_YW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMgb3Igc28=',
  }
  const one = await run(['send', 'ai', 'usage.alert'], environment)
  expect(one).toMatchObject({ code: 1, out: '' })
  expect(one.err).toBe('holdfast send: The signature could not be verified (401)\n')

  const many = await run(['send', 'ai', 'usage.alert', '--count', '3', '--json'], environment)
  expect(many.code).toBe(1)
  expect(JSON.parse(many.out)).toMatchObject({
    sent: 3,
    stored: 0,
    ack_ms: null,
    problems: { 'The signature could not be verified (401)': 3 },
  })
})

test('send reaches a service at another URL by --url, or by PUBLIC_URL with --public', async () => {
  const environment = { ...service.environment, PORT: '1' }
  expect(await run(['send', 'ai', 'usage.alert', '--url', `${service.publicUrl}/`], environment)).toMatchObject({
    code: 0,
  })
  const reached = await run(['send', 'ai', 'usage.alert', '--public'], {
    ...environment,
    PUBLIC_URL: service.publicUrl,
  })
  expect(reached).toMatchObject({ code: 0 })
  expect(await run(['send', 'ai', 'usage.alert', '--public'], environment)).toMatchObject({
    code: 1,
    err: 'holdfast send: PUBLIC_URL is not set\n',
  })
})

test('send names the setting, source or provider that is missing', async () => {
  // A folder without the secret that a first start makes.
  const nothing = { DATABASE_URL: `file:${join(temporaryDirectory(), 'holdfast.db')}` }
  const environment = { ...nothing, SOURCES: 'ai,shop', SOURCE_SHOP_SECRET: 'x'.repeat(24) }
  expect(await run(['send', 'shp', 'x'], environment)).toMatchObject({
    code: 4,
    err: expect.stringContaining('there is no source shp; SOURCES names ai, shop; did you mean shop?'),
  })
  expect((await run(['send', 'ai', 'x'], environment)).err).toContain('SOURCE_AI_SECRET is not set')
  expect((await run(['send', 'shop', 'x'], environment)).err).toContain('there is no provider shop')
  expect(await run(['send', 'ai', 'x'], nothing)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/the first start of the service makes it, in .*ai\.secret/),
  })
})

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService
beforeAll(async () => {
  service = await startLocal()
})

const holdfast = (...args: string[]) => run(args, service.environment)

test('handlers pause and resume a handler, and handlers list shows which one is paused and why', async () => {
  const { items } = (await service.api('/v1/handlers')) as { items: { name: string }[] }
  const name = items[0]?.name ?? ''
  expect(await holdfast('handlers', 'pause', name, '--reason', 'the API is down')).toMatchObject({
    code: 0,
    out: `${name} is paused, for all replicas: its deliveries wait\n`,
  })
  const listed = (await holdfast('handlers', 'list')).out.split('\n').find((line) => line.startsWith(`${name} `))
  expect(listed).toMatch(/ paused .* the API is down$/)
  const { out } = await holdfast('handlers', 'resume', name, '--json')
  expect(JSON.parse(out)).toEqual({ name, paused: null })
  expect((await holdfast('handlers', 'pause', 'none')).code).toBe(4)
})

test('sources pause and resume a source, and sources shows which one is paused', async () => {
  expect((await holdfast('sources', 'pause', 'ai')).code).toBe(0)
  expect((await holdfast('sources')).out).toMatch(/^ai +paused /m)
  expect((await holdfast('sources', 'resume', 'ai')).out).toBe('ai is resumed\n')
  expect((await holdfast('sources')).out).toMatch(/^ai +(active|silent) /m)
  expect((await holdfast('sources', 'resume', 'none')).code).toBe(4)
  expect(await holdfast('sources', 'pause', 'aii')).toMatchObject({
    code: 4,
    err: 'holdfast sources pause: there is no source aii; known are ai; did you mean ai?\n',
  })
})

test('audit lists who paused and resumed what, newest first, and filters by action and user', async () => {
  const name = ((await service.api('/v1/sources')) as { items: { name: string }[] }).items[0]?.name ?? ''
  await holdfast('sources', 'pause', name)
  await holdfast('sources', 'resume', name)
  const { out, code } = await holdfast('audit', '--action', 'source.*', '--limit', '2')
  expect(code).toBe(0)
  expect(out.split('\n').slice(0, 3)).toEqual([
    expect.stringMatching(/^AT +BY +FROM +ACTION +OUTCOME +COUNT +WHAT$/),
    expect.stringMatching(new RegExp(`Z  \\S+ +127\\.0\\.0\\.1  source\\.resume +done +1  ${name}$`)),
    expect.stringMatching(new RegExp(`Z  \\S+ +127\\.0\\.0\\.1  source\\.pause +done +-  ${name}$`)),
  ])
  expect(JSON.parse((await holdfast('audit', '--actor', 'nobody-here', '--json')).out).items).toEqual([])
  expect((await holdfast('audit', '--since', 'soon')).code).toBe(2)
})

test('sources shows since when a source is refused and why', async () => {
  const source = {
    name: 'shop',
    provider: 'shop',
    types: ['*'],
    last_event_at: null,
    silent_since: null,
    refusing_since: '2026-11-03T04:05:06.000Z',
    refusing_reason: 'signature_mismatch',
    paused: null,
  }
  const items = [source, { ...source, name: 'quiet', refusing_since: null, silent_since: '2026-11-02T00:00:00.000Z' }]
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ items }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const { out } = await run(['sources'], { OPS_PORT: String(port) })
  expect(out).toMatch(/^shop +refused +shop +\* +- +2026-11-03T04:05:06Z +- +signature_mismatch$/m)
  expect(out).toMatch(/^quiet +silent +shop +\* +- +2026-11-02T00:00:00Z +- +-$/m)
})

test('drain has the process claim nothing, and with --off claim again', async () => {
  expect((await holdfast('drain')).out).toContain('claims no more work')
  expect(JSON.parse((await holdfast('drain', '--off', '--json')).out)).toEqual({ draining: false })
})

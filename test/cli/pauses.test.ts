import { beforeAll, expect, test } from 'vitest'
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
})

test('drain has the process claim nothing, and with --off claim again', async () => {
  expect((await holdfast('drain')).out).toContain('claims no more work')
  expect(JSON.parse((await holdfast('drain', '--off', '--json')).out)).toEqual({ draining: false })
})

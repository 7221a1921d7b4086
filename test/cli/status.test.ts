import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService

beforeAll(async () => {
  service = await startLocal({ HANDLERS_DIR: join(import.meta.dirname, 'modules') })
})

const status = (...args: string[]) => run(['status', ...args], service.environment)

test('status of a service that is well says so, with its figures', async () => {
  const { code, out, err } = await status('--check')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^Well: nothing needs a hand\.\n\nversion +\d+\.\d+\.\d+, role all, up \d+ s\n/)
  expect(out).toMatch(/^store +sqlite, stores events, [\d.]+ KiB, [\d.]+ [GT]iB free on its disk$/m)
  expect(out).toMatch(/^sources +1, 3 handlers$/m)
})

test('status names what needs a hand and the command that helps, and metrics and --json name the same', async () => {
  const { uid } = await post(service.publicUrl, signedEvent('acme.thing', { mended: '/nowhere' }))
  const { out } = await eventually(status, ({ out: text }) => text.includes('dead list --cause'))
  expect(out).toMatch(
    /^1 problem needs a hand:\n\nwarning {2}ai, fragile: 1 dead letter \(not mended yet.*\), since .*\n {9}holdfast dead list --cause \w+\n/,
  )
  expect(await status('--check')).toMatchObject({ code: 1 })
  expect(JSON.parse((await status('--json')).out)).toMatchObject({
    well: false,
    problems: [{ problem: 'dead_letters', severity: 'warning', count: 1, source: 'ai', handler: 'fragile' }],
  })
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text()
  expect(metrics).toMatch(/^holdfast_problems\{problem="dead_letters"\} 1$/m)
  expect(metrics).toMatch(/^holdfast_problems\{problem="backlog"\} 0$/m)
  expect(uid).toBeTruthy()
})

import { expect, onTestFinished, test } from 'vitest'
import { createConsole } from '../../src/http/console/console.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { consolePorts } from './ports.ts'
import { OPS_READ_TOKEN, OPS_TOKEN, startScene } from './scene.ts'
import { signedIn } from './visitor.ts'

const KEY = 'sk-key-of-the-api-of-shop'

test('the configuration shows what is in force and where it came from, without a secret, and reloads', async () => {
  const scene = await startScene({ SOURCE_SHOP_API_KEY: KEY, RETRY_MAX_ATTEMPTS: '7' })
  const { get, send } = await signedIn(scene.opsUrl, OPS_TOKEN)
  const reader = await signedIn(scene.opsUrl, OPS_READ_TOKEN)
  const text = (await get('/console/config')).text
  for (const secret of [OPS_TOKEN, OPS_READ_TOKEN, AI_SECRET, AI_SECRET.slice(6, 16), KEY, KEY.slice(0, 8)])
    expect(text).not.toContain(secret)
  expect(text).toMatch(/RETRY_MAX_ATTEMPTS<\/code>.*?>7<.*?environment/s)
  expect(text).toMatch(/RETRY_CAP_MS<\/code>.*?3600000.*?1 h.*?default/s)
  expect(text).toMatch(/SOURCE_SHOP_API_KEY<\/code>.*?>set<.*?environment/s)
  expect((await get('/console/config?only=set')).text).not.toContain('RETRY_CAP_MS')
  expect(text).toContain('>Reload<')
  expect((await reader.get('/console/config')).text).not.toContain('>Reload<')

  scene.configured.RETRY_MAX_ATTEMPTS = 'many'
  const refused = await send('/console/config/reload')
  expect(refused.status).toBe(422)
  expect(refused.text).toContain('RETRY_MAX_ATTEMPTS is many')
  await expect.poll(async () => (await get('/console')).text.includes('config#reload')).toBe(true)

  scene.configured.RETRY_MAX_ATTEMPTS = '8'
  scene.configured.SHUTDOWN_GRACE_MS = '2000'
  const done = await send('/console/config/reload')
  expect([done.status, done.headers.location]).toEqual([303, '/console/config#reload'])
  const after = (await get('/console/config')).text
  expect(after).toContain('Settings that changed: <code><bdi>RETRY_MAX_ATTEMPTS</bdi></code>.')
  expect(after).toMatch(/Waits for a restart:.*?SHUTDOWN_GRACE_MS/s)
  expect(after).toMatch(/SHUTDOWN_GRACE_MS<\/code>.*?>1000<.*?another value waits for a restart/s)

  expect((await send('/console/config/drain', { on: 'true' })).status).toBe(303)
  expect((await get('/console/config')).text).toContain('Claim again')
  expect((await send('/console/config/drain', { on: 'false' })).status).toBe(303)
  const { items } = await scene.api('/v1/audit')
  expect(items.map(({ action, outcome }: Record<string, string>) => `${action} ${outcome}`)).toEqual([
    'process.drain done',
    'process.drain done',
    'configuration.reload done',
    'configuration.reload failed',
  ])
})

test('the configuration shows that nothing is deleted while the clock is doubted, and takes an operator’s word for the clock', async () => {
  const store = await openEmptyStore()
  const nowMs = Date.parse('2026-11-26T03:12:41Z')
  const confirmed: number[] = []
  const state = { isHeld: true, clockMs: nowMs, trustedAtMs: nowMs - 90_000_000, steadyHours: 0 }
  const ports = consolePorts(store, nowMs)
  const retention = {
    ...ports.retention,
    report: async () => ({ ...state, retentionDays: 30, deadRetentionDays: 30, old: { events: 0, tasks: 0 } as never }),
    resume: async (clockMs: number) => {
      confirmed.push(clockMs)
      return { ...state, isHeld: false }
    },
    warnings: () => ['nothing is deleted'],
  }
  const app = createOpsListener({ ...ports, retention, console: createConsole({ ...ports, retention }) })
  onTestFinished(async () => {
    await app.close()
    await store.close()
  })
  const headers = { host: 'localhost', origin: 'http://localhost' }
  const { body } = await app.inject({ url: '/console/config', headers })
  expect(body).toContain('nothing is deleted: the clock says')
  const field = (name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(body)?.[1] ?? ''
  const sent = await app.inject({
    method: 'POST',
    url: '/console/config/retention',
    headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ csrf: field('csrf'), clock: field('clock') }).toString(),
  })
  expect([sent.statusCode, sent.headers.location, confirmed]).toEqual([303, '/console/config#process', [nowMs]])
})

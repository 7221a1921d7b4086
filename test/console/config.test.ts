import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
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
  expect([done.status, done.headers.location]).toEqual([303, '/console/config?reloaded=1#reload'])
  const after = (await get('/console/config?reloaded=1')).text
  expect(after).toContain('The reload changed 1 setting.')
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

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { startNight } from './night.ts'

/** The folder of the pictures in the documents; `npm run pictures` sets it. */
const { PICTURES } = process.env

const open = shareBrowser()

test.skipIf(PICTURES === undefined)('takes the pictures for the documents', async () => {
  const folder = PICTURES ?? ''
  mkdirSync(folder, { recursive: true })
  const scene = await startNight()
  const { items } = await scene.api('/v1/events?outcome=dead&type=invoice.paid&limit=1')
  const take = async (name: string, path: string, colorScheme: 'light' | 'dark', before?: string): Promise<void> => {
    const { page } = await open({ viewport: { width: 1280, height: 760 }, colorScheme })
    await signIn(page, scene.opsUrl)
    await page.goto(`${scene.opsUrl}/console${path}`)
    if (before !== undefined) {
      await page.getByRole('button', { name: before }).first().click()
      await page.locator('#probe', { hasText: 'succeeded' }).waitFor()
    }
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: true })
  }
  await take('overview', '', 'light')
  await take('overview', '', 'dark')
  await take('event', `/events/${items[0].uid}`, 'light')
  scene.mendBilling()
  await take('dead', '/dead', 'dark', 'Replay one, as a probe')
})

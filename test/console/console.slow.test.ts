import { expect, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { startScene } from './scene.ts'

const open = shareBrowser()

test('an operator signs in, finds the event that failed by a text in its payload, and reads why it failed', async () => {
  const scene = await startScene()
  scene.breakBilling()
  await scene.send('invoice.paid', { number: 7, note: 'blue bicycle' })
  await scene.settled(1)
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.getByRole('link', { name: 'Events' }).first().click()
  await page.getByLabel('Find events').fill('bicycle')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'invoice.paid' }).click()
  await expect
    .poll(() => page.getByRole('region', { name: 'Stack' }).innerText())
    .toContain('connect ECONNREFUSED ledger-db:5432')
})

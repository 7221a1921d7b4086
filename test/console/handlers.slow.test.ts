import { expect, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { startScene } from './scene.ts'

const open = shareBrowser()

test('an operator pauses a handler with a reason, sees its deliveries wait without reloading, and resumes it', async () => {
  const scene = await startScene()
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.getByRole('link', { name: 'Handlers' }).first().click()
  await page.getByRole('link', { name: 'crm-sync' }).click()
  await page.getByLabel('Reason').fill('CRM maintenance until 06:00')
  await page.getByRole('button', { name: 'Pause' }).click()
  await expect.poll(() => page.locator('#work').innerText()).toContain('CRM maintenance until 06:00')
  const uid = await scene.send('report.due')
  await expect.poll(() => page.locator('#work').innerText(), { timeout: 15_000 }).toContain('1 delivery waits')
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect.poll(async () => (await scene.api(`/v1/events/${uid}`)).outcome).toBe('succeeded')
  await expect.poll(() => page.getByRole('button', { name: 'Pause' }).count()).toBe(1)
  expect(await page.locator('#work').innerText()).not.toContain('paused')
})

test('an operator sends a sample through the whole road, and sees what its handlers made of it', async () => {
  const scene = await startScene({ PUBLIC_URL: 'https://hooks.example.com' })
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/sources/shop`)
  await page.getByRole('combobox', { name: 'Type' }).fill('invoice.paid')
  await page.getByText('Data of your own').click()
  await page.getByLabel('JSON of an object').fill('{"number": 12}')
  await page.getByRole('button', { name: 'Send a sample' }).click()
  await page.waitForURL('**/console/events/*')
  expect(await page.locator('main').innerText()).toContain('invoice.paid')
  const uid = page.url().split('/').at(-1)
  await expect.poll(async () => (await scene.api(`/v1/events/${uid}`)).outcome).toBe('succeeded')
})

import { expect, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { startScene } from './scene.ts'

const open = shareBrowser()

test('a person who wants the times of the machine reads no UTC beside them, and the colours are kept', async () => {
  const scene = await startScene()
  await scene.post('/v1/handlers/billing/pause', { reason: 'a try' })
  const { page } = await open({ timezoneId: 'Asia/Tokyo' })
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/audit`)
  const cell = page.getByRole('cell').first()
  const utc = await cell.innerText()
  expect(await page.getByRole('columnheader').first().innerText()).toBe('At, UTC')
  await page.getByRole('link', { name: 'Preferences' }).click()
  await page.getByLabel('dark').check()
  await page.getByLabel('of this machine').check()
  await page.getByRole('button', { name: 'Keep' }).click()
  await page.waitForURL('**/console/audit')
  expect(await page.getByRole('columnheader').first().innerText()).toBe('At, here')
  const local = await cell.innerText()
  const hourOf = (text: string): number => Number(/(\d\d):\d\d:\d\d$/.exec(text)?.[1])
  expect((hourOf(local) - hourOf(utc) + 24) % 24).toBe(9)
  expect(await page.evaluate('getComputedStyle(document.documentElement).colorScheme')).toBe('dark')
  await page.goto(`${scene.opsUrl}/console/config`)
  expect(
    await page
      .getByText(/were read at/)
      .first()
      .innerText(),
  ).not.toContain('UTC')
})

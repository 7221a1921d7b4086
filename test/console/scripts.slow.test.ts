import { expect, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { shareScene } from './scene.ts'

const open = shareBrowser()
const scene = shareScene()

test.each([
  ['where a page may write the clipboard', ''],
  ['where it may not, as on plain http', "Object.defineProperty(navigator, 'clipboard', { value: undefined })"],
])('copies an id whole, %s', async (_, before) => {
  const uid = await scene().send('report.due')
  const { page } = await open({ permissions: ['clipboard-read', 'clipboard-write'] })
  await page.addInitScript(before)
  await signIn(page, scene().opsUrl)
  await page.goto(`${scene().opsUrl}/console/events/${uid}`)
  await page.locator(`[data-copy="${uid}"]`).click()
  await expect.poll(() => page.getByRole('status').last().innerText()).toBe('Copied')
  await page.goto(`${scene().opsUrl}/console/events`)
  await page.getByLabel('Find events').focus()
  await page.keyboard.press('Control+V')
  expect(await page.getByLabel('Find events').inputValue()).toBe(uid)
})

test('without a script, nothing is offered that only a script does', async () => {
  const uid = await scene().send('report.due')
  const { page } = await open({ javaScriptEnabled: false })
  await signIn(page, scene().opsUrl)
  for (const path of ['/console', '/console/sources', `/console/events/${uid}`]) {
    await page.goto(`${scene().opsUrl}${path}`)
    expect(await page.locator('.live, [data-copy]').filter({ visible: true }).count()).toBe(0)
  }
})

import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { shareBrowser } from './browser.ts'
import { OPS_TOKEN, startScene } from './scene.ts'

const open = shareBrowser()

/** No page is longer. */
const MAX_TABS = 150

const FOCUSED = `(({ innerText, value, name }) => (innerText || value || name || '').trim())(document.activeElement)`

/** Presses Tab until what has the focus says this. */
async function tabTo(page: Page, words: RegExp): Promise<void> {
  for (let tabs = 0; tabs < MAX_TABS; tabs++) {
    await page.keyboard.press('Tab')
    if (words.test(await page.evaluate<string>(FOCUSED))) return
  }
  throw new Error(`the Tab key leads to nothing that says ${words}`)
}

async function press(page: Page, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) await page.keyboard.press(key)
}

/** Goes to a section by its key. */
async function goTo(page: Page, key: string, path: string): Promise<void> {
  await press(page, 'g', key)
  await page.waitForURL((url) => url.pathname === path)
}

const isAt = (page: Page, path: RegExp) => page.waitForURL((url) => path.test(url.pathname))

test('an operator does without a mouse all that a night asks for', async () => {
  const scene = await startScene()
  scene.breakBilling()
  for (let number = 0; number < 40; number++) await scene.send('invoice.paid', { number })
  const uid = await scene.send('invoice.paid', { number: 99, note: 'blue bicycle' })
  await scene.settled(41)
  const { page } = await open()

  // Signs in: the field has the focus.
  await page.goto(`${scene.opsUrl}/console`)
  await page.locator('#token:focus').waitFor()
  await page.keyboard.type(OPS_TOKEN)
  await press(page, 'Enter')
  await isAt(page, /^\/console$/)

  // Finds the event by a text in its payload, and reads the stack.
  await goTo(page, 'e', '/console/events')
  await press(page, '/')
  await page.keyboard.type('bicycle')
  await press(page, 'Enter')
  await page.waitForURL((url) => url.searchParams.get('q') === 'bicycle')
  await press(page, 'j', 'Enter')
  await isAt(page, new RegExp(`^/console/events/${uid}$`))
  await expect
    .poll(() => page.getByRole('group', { name: /stack/i }).first().innerText())
    .toMatch(/scene\.ts[^]*connect ECONNREFUSED ledger-db:5432/)

  // Replays it, and sees it succeed without loading the page again.
  scene.mendBilling()
  await press(page, 'r', 'Enter')
  await page.locator('h1').getByText('invoice.paid').waitFor()
  await page.locator('.head .st', { hasText: 'succeeded' }).waitFor()

  // Probes one dead letter of a kind, and then replays all.
  await goTo(page, 'd', '/console/dead')
  await tabTo(page, /^Replay one, as a probe$/)
  await press(page, 'Enter')
  await page.locator('#probe', { hasText: 'succeeded' }).waitFor()
  await tabTo(page, /^Replay the rest, 39…$/)
  await press(page, 'Enter')
  await isAt(page, /^\/console\/replay$/)
  await page.getByRole('heading', { name: 'Replay 39 dead letters to billing?' }).waitFor()
  await tabTo(page, /^per_second$|^50$/)
  await page.keyboard.type('1')
  await tabTo(page, /^Replay 39$/)
  await press(page, 'Enter')
  await isAt(page, /^\/console\/replays\/./)
  await page.getByRole('progressbar').waitFor()
  await expect.poll(async () => Number(await page.getByRole('progressbar').getAttribute('value'))).toBeGreaterThan(0)
  await tabTo(page, /^Cancel the rest$/)
  await press(page, 'Enter')
  await page.locator('.head .st', { hasText: 'cancelled' }).waitFor()

  // Replays all that match a search.
  await goTo(page, 'e', '/console/events')
  await press(page, '/')
  await page.keyboard.type('outcome:dead type:invoice.paid')
  await press(page, 'Enter')
  await page.waitForURL((url) => url.searchParams.get('q')?.startsWith('outcome:dead') === true)
  await press(page, 'a')
  await isAt(page, /^\/console\/replay$/)
  await tabTo(page, /^Replay \d+$/)
  await press(page, 'Enter')
  await isAt(page, /^\/console\/replays\/./)
  await page.locator('.head .st', { hasText: 'done' }).waitFor()
  await scene.settled(0)

  // Pauses a handler with a reason, and resumes it.
  await goTo(page, 'h', '/console/handlers')
  await tabTo(page, /^crm-sync$/)
  await press(page, 'Enter')
  await isAt(page, /^\/console\/handlers\/crm-sync$/)
  await tabTo(page, /^reason$/)
  await page.keyboard.type('CRM maintenance')
  await press(page, 'Enter')
  await page.getByRole('button', { name: 'Resume' }).waitFor()
  await page.getByText('CRM maintenance').waitFor()
  await tabTo(page, /^Resume$/)
  await press(page, 'Enter')
  await expect.poll(() => page.getByText('CRM maintenance').count()).toBe(0)
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { memoryDirectory } from '../support/sqlite/store.ts'
import { shareBrowser, signIn } from './browser.ts'
import { type Scene, startScene } from './scene.ts'

const open = shareBrowser()

/** A shop whose billing could not reach its database for so many invoices. */
async function sceneWith(invoices: number): Promise<Scene> {
  const scene = await startScene()
  scene.breakBilling()
  for (let number = 0; number < invoices; number++)
    await scene.send('invoice.paid', { number, note: number % 2 === 0 ? 'blue bicycle' : 'red bicycle' })
  await scene.settled(invoices)
  return scene
}

const heading = (page: Page) => page.getByRole('heading', { level: 1 }).innerText()
const notLoadedAgain = async (page: Page): Promise<() => Promise<void>> => {
  await page.evaluate('globalThis.isSame = true')
  return async () => expect(await page.evaluate('globalThis.isSame')).toBe(true)
}

test('an operator replays all that match a search: sees how many before, follows the progress, and cancels the rest', async () => {
  const scene = await sceneWith(12)
  scene.mendBilling()
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/events?q=${encodeURIComponent('outcome:dead blue')}`)
  await page.locator('a[data-key=a]').click()
  await expect.poll(() => heading(page)).toBe('Replay 6 events with dead letters?')
  await expect.poll(() => page.getByText('billing dead, runs again').count()).toBe(3)
  await page.getByLabel('At most').fill('1')
  await page.getByRole('button', { name: 'Replay 6' }).click()
  await page.waitForURL(/\/console\/replays\//)
  const isSame = await notLoadedAgain(page)
  const progress = page.getByRole('region', { name: 'Progress' })
  await expect.poll(() => progress.innerText(), { timeout: 15_000 }).toMatch(/[23] of 6 · [23] succeeded/)
  await isSame()
  await page.getByRole('button', { name: 'Cancel the rest' }).click()
  await expect.poll(() => page.getByText('cancelled').first().isVisible()).toBe(true)
  expect(await page.getByRole('button', { name: 'Cancel the rest' }).count()).toBe(0)
  await expect.poll(() => progress.innerText()).toContain('The rest was not replayed')
  await page.getByRole('link', { name: 'See what is left of it' }).click()
  await expect.poll(() => page.getByRole('row').count()).toBeGreaterThan(2)
  const { dead } = (await scene.api('/v1/status')).deliveries
  expect(dead).toBeGreaterThan(6)
  expect(dead).toBeLessThan(12)
})

test('an operator probes one dead letter of a cause, reads that it failed again, mends, probes, and replays the rest, all seen live', async () => {
  const scene = await sceneWith(5)
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.getByRole('link', { name: 'Dead letters' }).click()
  await page.getByRole('button', { name: 'Replay one, as a probe' }).click()
  const probe = page.locator('#probe')
  const isSame = await notLoadedAgain(page)
  await expect.poll(() => probe.innerText(), { timeout: 10_000 }).toContain('failed again')
  await isSame()
  expect(await probe.innerText()).toContain('ECONNREFUSED')
  expect(await page.getByRole('link', { name: /Replay the rest/ }).count()).toBe(0)

  scene.mendBilling()
  await scene.settled(5)
  await page.getByRole('button', { name: 'Replay one, as a probe' }).click()
  await expect.poll(() => probe.innerText(), { timeout: 10_000 }).toContain('The cause seems gone')
  await page.getByRole('link', { name: 'Replay the rest, 4…' }).click()
  await expect.poll(() => heading(page)).toBe('Replay 4 dead letters to billing?')
  await page.getByRole('button', { name: 'Replay 4' }).click()
  await page.waitForURL(/\/console\/replays\//)
  const isSameReplay = await notLoadedAgain(page)
  const progress = page.getByRole('region', { name: 'Progress' })
  await expect.poll(() => progress.innerText(), { timeout: 15_000 }).toContain('4 of 4 · 4 succeeded')
  await expect.poll(() => page.locator('.live').count(), { timeout: 10_000 }).toBe(0)
  const dead = page.getByRole('link', { name: 'Dead letters', exact: true })
  await expect.poll(() => dead.innerText(), { timeout: 15_000 }).toBe('Dead letters')
  await isSameReplay()
  expect(await page.getByRole('link', { name: 'No dead letters are left' }).isVisible()).toBe(true)
  expect(await page.locator('#replay').innerText()).toMatch(/Asked for at \d/)
  await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: 'Dead letters' }).click()
  await expect.poll(() => heading(page)).toBe('No dead letters')
})

test('a replay with a probe stops at a probe that fails, and says so while somebody looks', async () => {
  const scene = await sceneWith(3)
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/replay?q=outcome:dead&probe=on`)
  expect(await page.getByLabel('Replay one first, as a probe').isChecked()).toBe(true)
  await page.getByRole('button', { name: 'Replay 3' }).click()
  await expect
    .poll(() => page.getByRole('region', { name: 'Progress' }).innerText(), { timeout: 15_000 })
    .toContain('failed again: cannot charge invoice 0')
  expect(await page.getByText('No other event was replayed').isVisible()).toBe(true)
})

test('an operator selects dead letters and replays them, and sees what became of each', async () => {
  const scene = await sceneWith(3)
  scene.mendBilling()
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/dead/list`)
  for (const box of (await page.getByRole('checkbox').all()).slice(0, 2)) await box.check()
  await expect.poll(() => page.getByText('2 selected').isVisible()).toBe(true)
  await page.getByRole('button', { name: 'Replay…' }).click()
  await expect.poll(() => heading(page)).toBe('Replay 2 selected dead letters?')
  await page.getByRole('button', { name: 'Replay 2' }).click()
  await expect.poll(() => heading(page)).toBe('Replayed 2 events')
  await expect.poll(() => page.getByText('billing succeeded').count(), { timeout: 10_000 }).toBe(2)
  await scene.settled(1)
})

test('the dead letters of a handler that is gone cannot be replayed, which their page says, but discarded', async () => {
  const scene = await sceneWith(2)
  const handlers = memoryDirectory()
  writeFileSync(join(handlers, 'shop.js'), "export default (router) => router.on('*', { name: 'ledger' }, () => {})\n")
  scene.configured.HANDLERS_DIR = handlers
  await scene.reloadConfig('request')
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/dead`)
  expect(await page.getByText('No running process has the handler billing').isVisible()).toBe(true)
  expect(await page.getByRole('button', { name: /probe/ }).count()).toBe(0)
  await page.goto(`${scene.opsUrl}/console/replay?q=outcome:dead`)
  expect(await page.getByText('No running process has the handler billing').isVisible()).toBe(true)
  await page.goto(`${scene.opsUrl}/console/dead`)
  await page.getByRole('link', { name: 'Discard…' }).click()
  await page.getByRole('button', { name: 'Discard 2' }).click()
  await expect.poll(() => page.getByText('2 dead letters discarded.').isVisible()).toBe(true)
  expect(await heading(page)).toBe('No dead letters')
})

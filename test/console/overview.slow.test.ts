import { expect, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { startScene } from './scene.ts'

const open = shareBrowser()

test('the overview shows new problems without being loaded again, and keeps what was opened open and what has the focus in focus', async () => {
  const scene = await startScene()
  await scene.send('invoice.paid', { number: 1 })
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await expect.poll(() => page.getByRole('heading', { level: 1 }).innerText()).toContain('Nothing needs a hand')
  await page.evaluate('globalThis.isSame = true')
  const plot = page.getByRole('figure', { name: 'Received, handled, failed' })
  await plot.getByText('Numbers').click()
  await plot.locator('summary').focus()
  scene.breakBilling()
  await scene.send('invoice.paid', { number: 2 })
  await scene.settled(1)
  await expect
    .poll(() => page.getByRole('heading', { level: 1 }).innerText(), { timeout: 20_000 })
    .toContain('One thing needs a hand')
  // More than once: the answer that was shown asks for the next one.
  const before = await page.getByText('As of').innerText()
  await expect.poll(() => page.getByText('As of').innerText(), { timeout: 20_000 }).not.toBe(before)
  expect(await page.evaluate('globalThis.isSame')).toBe(true)
  expect(await plot.locator('details').getAttribute('open')).not.toBeNull()
  expect(await plot.getByRole('table').isVisible()).toBe(true)
  expect(await plot.getByRole('columnheader').allInnerTexts()).toEqual(['UTC', 'received', 'handled', 'failed'])
  expect(await page.evaluate('document.activeElement.tagName')).toBe('SUMMARY')
  expect(await plot.getByRole('img').getAttribute('aria-labelledby')).toBe('plot-events-finding')
  await page.getByRole('link', { name: 'Look and replay' }).click()
  await expect.poll(() => page.getByRole('heading', { level: 1 }).innerText()).toContain('1 dead letter')
})

test('the overview holds while the pointer is on what needs a hand, and goes on after the service was away', async () => {
  const scene = await startScene()
  scene.breakBilling()
  await scene.send('invoice.paid', { number: 2 })
  await scene.settled(1)
  const visitor = await open()
  const { page } = visitor
  await signIn(page, scene.opsUrl)
  const live = page.locator('.live')
  await page.getByRole('link', { name: 'Look and replay' }).hover()
  await expect.poll(() => live.innerText(), { timeout: 20_000 }).toBe('Held while you are at it')
  await page.getByRole('heading', { level: 1 }).hover()
  await expect.poll(() => live.innerText(), { timeout: 20_000 }).toBe('Live, every 5 s')

  await page.route('**/console/part/overview*', (route) => route.fulfill({ status: 503, body: 'away' }))
  await expect.poll(() => live.innerText(), { timeout: 20_000 }).toBe('Not live: the service answers 503')
  expect(await page.getByText('1 dead letter').isVisible()).toBe(true)
  await page.unroute('**/console/part/overview*')
  await expect.poll(() => live.innerText(), { timeout: 20_000 }).toBe('Live, every 5 s')
  await page.route('**/console/part/overview*', (route) => route.abort())
  await expect.poll(() => live.innerText(), { timeout: 20_000 }).toBe('Not live: no answer')
  await page.unroute('**/console/part/overview*')
  await expect.poll(() => live.innerText(), { timeout: 20_000 }).toBe('Live, every 5 s')
  // The browser itself tells of answers that it did not get.
  expect(
    (visitor.complaints as string[]).splice(0).filter((text) => !/Failed to (load resource|fetch)/.test(text)),
  ).toEqual([])
})

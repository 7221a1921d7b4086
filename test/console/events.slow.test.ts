import type { Page, Route } from 'playwright-core'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openBrowser, shareBrowser, signIn, visit } from './browser.ts'
import { shareScene } from './scene.ts'

const open = shareBrowser()
const scene = shareScene()

const events = (words = '') => `${scene().opsUrl}/console/events?q=${encodeURIComponent(words)}`
const row = (page: Page, uid: string) => page.locator(`#e-${uid}`)
const rows = (page: Page) => page.locator('tbody tr')
const state = (page: Page) => page.locator('[data-state]').innerText()
const focused = (page: Page) =>
  page.evaluate<string>('document.activeElement.closest("tr")?.id ?? document.activeElement.id')

/** The page follows the stream, and nothing holds it. */
async function openLive(words = ''): Promise<Page> {
  const { page } = await open()
  await signIn(page, scene().opsUrl)
  const answer = page.waitForResponse((response) => response.url().includes('/console/part/events'))
  await page.goto(events(words))
  await answer
  await expect.poll(() => state(page)).toBe('live')
  return page
}

beforeAll(async () => {
  for (let number = 0; number < 3; number++) await scene().send('report.due', { number, note: 'green bicycle' })
})

describe('the list of events', () => {
  test('shows an event that comes, and what becomes of it, without being loaded again', async () => {
    const page = await openLive('type:invoice.*')
    await page.evaluate('document.body.dataset.same = ""')
    expect(await page.getByText('No event matches').count()).toBe(1)
    const uid = await scene().send('invoice.paid', { number: 7 })
    await row(page, uid).waitFor()
    await row(page, uid).getByText('succeeded').waitFor()
    await page.getByRole('link', { name: 'succeeded 1' }).waitFor()
    await scene().send('order.created')
    expect(await rows(page).count()).toBe(1)
    expect(await page.evaluate('document.body.dataset.same')).toBe('')
  })

  test('holds still under the pointer, says how many are new, and shows them when the pointer leaves', async () => {
    const page = await openLive()
    await rows(page).first().hover()
    await expect.poll(() => state(page)).toBe('held under the pointer')
    const uids = [await scene().send('report.due'), await scene().send('report.due')]
    await page.getByRole('button', { name: 'show 2 new' }).waitFor()
    await expect.poll(() => page.getByRole('status').innerText()).toMatch(/^[12] new events?$/)
    expect(await row(page, uids[0] ?? '').count()).toBe(0)
    await page.mouse.move(5, 5)
    await row(page, uids[0] ?? '').waitFor()
    await row(page, uids[1] ?? '').waitFor()
    expect(await state(page)).toBe('live')
  })

  test('holds still while events are selected, keeps them when asked for the new ones, and by the button', async () => {
    const page = await openLive()
    const id = (await rows(page).nth(1).getAttribute('id')) ?? ''
    await page.locator(`#${id} input`).check()
    await page.mouse.move(5, 5)
    await expect.poll(() => state(page)).toBe('held while events are selected')
    const first = await scene().send('report.due')
    await page.getByRole('button', { name: 'show 1 new' }).click()
    await row(page, first).waitFor()
    expect(await page.locator(`#${id} input`).isChecked()).toBe(true)
    expect(await page.locator('[data-picked]').innerText()).toBe('1 selected')
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.mouse.move(5, 5)
    await page.locator('h1').click()
    await expect.poll(() => state(page)).toBe('live')
    await page.keyboard.press('.')
    expect(await state(page)).toBe('held')
    const second = await scene().send('report.due')
    await page.getByRole('button', { name: 'show 1 new' }).waitFor()
    await page.keyboard.press('.')
    await row(page, second).waitFor()
  })

  test('asks by itself when another page of the session has taken its stream', async () => {
    const page = await openLive()
    for (let nth = 0; nth < 4; nth++) {
      const other = await page.context().newPage()
      const answer = other.waitForResponse((response) => response.url().endsWith('/console/live'))
      await other.goto(events())
      await answer
    }
    await page.bringToFront()
    await expect.poll(() => state(page)).toBe('asks every 5 s')
    await row(page, await scene().send('report.due')).waitFor()
  })

  test('says why it is not live, keeps what it shows, and goes on by itself', async () => {
    const browser = await openBrowser()
    onTestFinished(() => browser.close())
    const { page, context } = await visit(browser) // which complains of the answers 503 and 401
    await signIn(page, scene().opsUrl)
    let refused = 2
    const refuse = (route: Route) => (refused-- > 0 ? route.fulfill({ status: 503, body: 'away' }) : route.continue())
    await page.route('**/console/live', refuse)
    await page.route('**/console/part/events', refuse)
    await page.goto(events())
    await expect.poll(() => state(page)).toBe('not live: the service answers 503')
    expect(await rows(page).count()).toBeGreaterThan(0)
    await expect.poll(() => state(page)).toBe('live')
    await row(page, await scene().send('report.due')).waitFor()
    const other = await context.newPage()
    await other.goto(`${scene().opsUrl}/console/preferences`)
    await other.getByRole('button', { name: 'Sign out' }).click()
    await page.bringToFront()
    await expect.poll(() => state(page)).toBe('signed out: load the page again')
  })

  test('is walked, searched and selected by keys', async () => {
    const page = await openLive('bicycle')
    const ids = await rows(page).evaluateAll((all) => all.map(({ id }) => id))
    expect(ids).toHaveLength(3)
    for (const [key, id] of [
      ['j', ids[0]],
      ['j', ids[1]],
      ['k', ids[0]],
      ['k', ids[0]],
    ] as const) {
      await page.keyboard.press(key)
      expect(await focused(page)).toBe(id)
    }
    await expect.poll(() => state(page)).toBe('held while you are in the list')
    await page.keyboard.press('x')
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await expect.poll(() => page.locator('[data-picked]').innerText()).toBe('2 selected')
    await page.keyboard.press('Escape')
    await expect.poll(() => page.locator('input:checked').count()).toBe(0)
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/console\/events\/[^?]+\?q=bicycle$/)
    await page.goBack()
    await page.keyboard.press('/')
    expect(await focused(page)).toBe('q')
    await page.keyboard.type(' jx?')
    expect(await page.getByLabel('Find events').inputValue()).toBe('bicycle jx?')
    await page.keyboard.press('Escape')
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('g')
    await page.keyboard.press('d')
    await page.waitForURL(/\/console\/dead$/)
  })

  test('is walked by keys also from event to event', async () => {
    const page = await openLive()
    const ids = await rows(page).evaluateAll((all) => all.map(({ id }) => id.slice(2)))
    await page.keyboard.press('j')
    for (const [key, id] of [
      ['Enter', ids[0]],
      ['j', ids[1]],
      ['j', ids[2]],
      ['k', ids[1]],
    ] as const) {
      await page.keyboard.press(key)
      await page.waitForURL((url) => url.pathname.endsWith(`/${id}`))
    }
    await page.keyboard.press('Escape')
    await page.waitForURL(/\/console\/events\?/)
  })

  test('leads by r to a replay of what is selected, and by a to one of all that match', async () => {
    const page = await openLive('bicycle')
    await page.keyboard.press('j')
    await page.keyboard.press('r')
    await page.waitForURL(/\/console\/replay\?of=selection&q=bicycle&uid=[\da-f-]+$/)
    await page.goBack()
    await page.keyboard.press('a')
    await page.waitForURL(/\/console\/replay\?q=bicycle%20until%3A/)
  })

  test('has no keys for who has switched them off', async () => {
    const page = await openLive()
    await page.goto(`${scene().opsUrl}/console/preferences?to=/console/events`)
    await page.getByLabel('off').check()
    await page.getByRole('button', { name: 'Keep' }).click()
    await page.waitForURL(/\/console\/events$/)
    await page.keyboard.press('j')
    await page.keyboard.press('?')
    expect(await page.locator('tbody :focus').count()).toBe(0)
    expect(await page.getByRole('dialog').count()).toBe(0)
  })

  test('suggests what exists', async () => {
    const page = await openLive()
    await page.getByLabel('Find events').pressSequentially('outcome:dead type:rep')
    await expect
      .poll(() => page.locator('#endings option').evaluateAll((all) => all.map((each) => each.getAttribute('value'))))
      .toEqual(['outcome:dead type:report.due'])
  })

  test('can be searched and selected without a script', async () => {
    const { page } = await open({ javaScriptEnabled: false })
    await signIn(page, scene().opsUrl)
    await page.getByRole('link', { name: 'Events' }).first().click()
    await page.getByRole('link', { name: 'Refresh' }).click()
    await page.getByLabel('Find events').fill('green bicycle')
    await page.getByRole('button', { name: 'Search' }).click()
    await expect.poll(() => rows(page).count()).toBe(3)
    expect(await page.getByText('Hold', { exact: true }).isVisible()).toBe(false)
    await page.locator('tbody input').nth(0).check()
    await page.locator('tbody input').nth(2).check()
    await page.getByRole('button', { name: 'Replay…' }).click()
    await page.waitForURL(/\/console\/replay\?of=selection&q=green\+bicycle&uid=[\da-f-]+&uid=[\da-f-]+$/)
  })
})

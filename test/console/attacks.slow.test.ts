import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startLocal } from '../support/local-service.ts'
import { openBrowser, signIn, visit } from './browser.ts'
import { OPS_TOKEN, type Scene, startScene } from './scene.ts'

/** Names that lead to this machine, as an attacker's DNS would have them. */
const RESOLVER = '--host-resolver-rules=MAP *.example 127.0.0.1'

let browser: Browser
let evil: Server
/** What the attacker's pages hold. */
let content = ''

beforeAll(async () => {
  browser = await openBrowser([RESOLVER])
  evil = createServer((_request, answer) => answer.setHeader('content-type', 'text/html').end(content))
  await once(evil.listen(0, '127.0.0.1'), 'listening')
})
afterAll(async () => {
  await browser?.close()
  evil?.close()
})

/** Sites from which an attacker's page may come: only the second is another site, the first shares cookies with the console. */
const SITES = ['127.0.0.1', 'localhost', 'evil.example']
const evilUrl = (host: string) => `http://${host}:${(evil.address() as AddressInfo).port}/`

async function person(scene?: Scene): Promise<Page> {
  const { context, page } = await visit(browser)
  onTestFinished(() => context.close())
  if (scene !== undefined) await signIn(page, scene.opsUrl)
  return page
}

const pausedIn = async ({ api }: Pick<Scene, 'api'>): Promise<unknown> =>
  ((await api('/v1/status')).problems as { problem: string }[]).filter(({ problem }) => problem === 'handler_paused')

/** A form is taken from a page of the console. */
async function expectOwnForm(page: Page, opsUrl: string): Promise<void> {
  await page.goto(`${opsUrl}/console/preferences`)
  await page.getByRole('radio', { name: 'dark' }).check()
  await page.getByRole('button', { name: 'Keep' }).click()
  await expect.poll(() => page.url()).toBe(`${opsUrl}/console`)
  expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
}

const formTo = (url: string, fields: Readonly<Record<string, string>>, type = 'application/x-www-form-urlencoded') =>
  `<form method="post" action="${url}" enctype="${type}">${Object.entries(fields)
    .map(([name, value]) => `<input name="${name}" value="${value}">`)
    .join('')}</form><script>document.forms[0].submit()</script>`

describe('a page of an attacker, in the browser of somebody who has signed in,', () => {
  test.each(SITES)('cannot send a form from %s', async (site) => {
    const scene = await startScene()
    const page = await person(scene)
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
      content = formTo(`${scene.opsUrl}/console/handlers/billing/pause`, { csrf: 'none', reason: 'x' }, type)
      const answered = page.waitForResponse((answer) => answer.request().method() === 'POST')
      await page.goto(evilUrl(site))
      expect((await answered).status(), type).toBeGreaterThanOrEqual(400)
    }
    content = `<body><script>
      for (const path of ['/console/handlers/billing/pause', '/v1/handlers/billing/pause', '/v1/drain'])
        for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json'])
          fetch('${scene.opsUrl}' + path, { method: 'POST', mode: type.endsWith('json') ? 'cors' : 'no-cors', credentials: 'include', body: '{}', signal: AbortSignal.timeout(5_000), headers: { 'content-type': type } }).catch(() => {}).finally(() => document.body.append(path + type + ' '))
    </script>`
    await page.goto(evilUrl(site))
    await expect.poll(async () => (await page.locator('body').innerText()).trim().split(' ')).toHaveLength(9)
    expect(await pausedIn(scene)).toEqual([])
    // The form works from a page of the console.
    await expectOwnForm(page, scene.opsUrl)
  })

  test.each(SITES)('cannot show the console in a frame, nor read it, from %s', async (site) => {
    const scene = await startScene()
    const page = await person(scene)
    content = `<iframe src="${scene.opsUrl}/console"></iframe><script>
      fetch('${scene.opsUrl}/console', { credentials: 'include' }).then((answer) => answer.text()).then((text) => { document.title = 'read ' + text.length }, () => { document.title = 'refused' })
    </script>`
    await page.goto(evilUrl(site))
    await expect.poll(() => page.title()).toBe('refused')
    expect(page.frames()).toHaveLength(2)
    expect(await page.frames()[1]?.content()).not.toContain('Console')
    content = `<script>const other = open('${scene.opsUrl}/console'); setTimeout(() => { document.title = other.closed ? 'cut off' : 'held' }, 1500)</script>`
    const opened = page.context().waitForEvent('page')
    await page.goto(evilUrl(site))
    await (await opened).waitForLoadState()
    await expect.poll(() => page.title(), { timeout: 5_000 }).toBe('cut off')
  })

  test('cannot sign somebody in or out', async () => {
    const scene = await startScene()
    const page = await person(scene)
    for (const [path, fields] of [
      ['/console/sign-in', { token: OPS_TOKEN, to: '/console' }],
      ['/console/sign-out', { csrf: 'none' }],
    ] as const) {
      content = formTo(`${scene.opsUrl}${path}`, fields)
      const answered = page.waitForResponse((answer) => answer.request().method() === 'POST')
      await page.goto(evilUrl('localhost'))
      const answer = await answered
      expect(answer.status(), path).toBe(403)
      expect(answer.headers()['set-cookie'], path).toBeUndefined()
    }
    await page.goto(`${scene.opsUrl}/console/events`)
    expect(await page.locator('input[name=q]').count()).toBe(1)
  })
})

test('a host name of an attacker that leads to the console (DNS rebinding) gets nothing of it', async () => {
  const [scene, local] = [await startScene(), await startLocal()]
  const page = await person(scene)
  for (const { opsUrl } of [scene, local]) {
    const { port } = new URL(opsUrl)
    const answer = await page.goto(`http://rebound.example:${port}/console`)
    expect(answer?.status()).toBe(421)
    expect(await page.locator('body').innerText()).toContain('OPS_ALLOWED_HOSTS')
    const status = await page.evaluate<number>("fetch('/v1/events').then(({ status }) => status)")
    expect(status).toBeGreaterThanOrEqual(401)
    const asset = await page.evaluate<number>(
      "fetch('/console/sign-in', { method: 'POST' }).then(({ status }) => status)",
    )
    expect(asset).toBe(421)
  }
})

test('without a token, a page of another site or port changes nothing and reads nothing', async () => {
  const local = await startLocal()
  const page = await person()
  for (const site of SITES) {
    content = formTo(`${local.opsUrl}/console/sources/ai/pause`, { csrf: 'none', reason: 'x' })
    const answered = page.waitForResponse((answer) => answer.request().method() === 'POST')
    await page.goto(evilUrl(site))
    expect((await answered).status(), site).toBe(403)
    content = `<iframe src="${local.opsUrl}/console"></iframe><script>
      fetch('${local.opsUrl}/console').then(() => { document.title = 'read' }, () => { document.title = 'refused' })</script>`
    await page.goto(evilUrl(site))
    await expect.poll(() => page.title()).toBe('refused')
    expect(await page.frames()[1]?.content()).not.toContain('Console')
  }
  expect((await local.api('/v1/status')).problems).toEqual([])
  await expectOwnForm(page, local.opsUrl)
})

describe('a link to a page of the console, in a chat,', () => {
  test('leads somebody who is signed in to that page', async () => {
    const scene = await startScene()
    const page = await person(scene)
    const url = `${scene.opsUrl}/console/events?q=type:invoice.*`
    content = `<a href="${url}">look</a>`
    await page.goto(evilUrl('localhost'))
    await page.getByRole('link').click()
    await page.locator('input[name=q]').waitFor()
    expect(page.url()).toBe(url)
    expect(await page.locator('input[name=q]').inputValue()).toBe('type:invoice.*')
  })

  test('leads there after signing in, and signing out leaves nothing for the back button', async () => {
    const scene = await startScene()
    const page = await person()
    const url = `${scene.opsUrl}/console/events?q=type:invoice.*`
    content = `<a href="${url}">look</a>`
    await page.goto(evilUrl('localhost'))
    await page.getByRole('link').click()
    await page.getByLabel('Token').fill(OPS_TOKEN)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('input[name=q]').waitFor()
    expect(page.url()).toBe(url)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Token').waitFor()
    await page.goBack()
    await page.getByLabel('Token').waitFor()
    expect(await page.locator('input[name=q]').count()).toBe(0)
    expect(await page.context().cookies()).toEqual([])
  })
})

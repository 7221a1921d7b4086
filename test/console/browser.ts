import chromium from '@sparticuz/chromium'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
  chromium as playwright,
} from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { OPS_TOKEN } from './scene.ts'

/** Pages look the same on every machine, and do not move while they are looked at. */
const CONTEXT: BrowserContextOptions = {
  viewport: { width: 1360, height: 900 },
  locale: 'en-GB',
  timezoneId: 'UTC',
  reducedMotion: 'reduce',
}

export interface Visitor {
  readonly context: BrowserContext
  readonly page: Page
  /** What the browser has complained of: errors in the console, among them reports of the CSP, and errors that scripts have thrown. */
  readonly complaints: readonly string[]
}

/** A browser for the tests of a file. `CHROMIUM` names another one than that of the package, which is for Linux. */
export function shareBrowser(): (options?: BrowserContextOptions) => Promise<Visitor> {
  let browser: Browser | undefined
  beforeAll(async () => {
    browser = await openBrowser()
  })
  afterAll(() => browser?.close())
  return async (options = {}) => {
    if (browser === undefined) throw new Error('no browser')
    const visitor = await visit(browser, options)
    onTestFinished(async () => {
      await visitor.context.close()
      expect(visitor.complaints).toEqual([])
    })
    return visitor
  }
}

export const openBrowser = async (args: readonly string[] = []): Promise<Browser> =>
  playwright.launch({
    executablePath: process.env.CHROMIUM ?? (await chromium.executablePath()),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', ...args],
    headless: true,
  })

export async function visit(browser: Browser, options: BrowserContextOptions = {}): Promise<Visitor> {
  const context = await browser.newContext({ ...CONTEXT, ...options })
  const complaints: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      complaints.push(`${message.text()} (${message.location().url})`)
  })
  context.on('weberror', (error) => complaints.push(String(error.error())))
  const page = await context.newPage()
  return { context, page, complaints }
}

export async function signIn(page: Page, opsUrl: string, token = OPS_TOKEN): Promise<void> {
  await page.goto(`${opsUrl}/console`)
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('navigation', { name: 'Console' }).waitFor()
  await expect.poll(() => page.getByLabel('Token').count()).toBe(0)
}

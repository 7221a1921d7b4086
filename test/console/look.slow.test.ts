import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { startNight } from './night.ts'
import { findPages } from './pages.ts'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
/** Where pictures are kept, if anywhere. */
const { SCREENSHOTS } = process.env

const LOOKS = [
  { name: '1360-light', viewport: { width: 1360, height: 900 }, colorScheme: 'light' },
  { name: '1360-dark', viewport: { width: 1360, height: 900 }, colorScheme: 'dark' },
  { name: '390-light', viewport: { width: 390, height: 844 }, colorScheme: 'light' },
  { name: '390-dark', viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
] as const

const open = shareBrowser()

let opsUrl = ''
let stories: readonly string[] = []
const ends: (() => Promise<void>)[] = []
beforeAll(async () => {
  ;({ opsUrl, stories } = await startNight({ onEnd: (end) => ends.push(end) }))
})
afterAll(async () => {
  for (const end of ends.toReversed()) await end()
})

test.each(LOOKS)('every page is accessible, and fits the width: $name', async ({ name, ...look }) => {
  const { page } = await open({ ...look, bypassCSP: true }) // axe is put into the page
  await signIn(page, opsUrl)
  const faults: string[] = []
  const paths = await findPages(page, opsUrl, {
    also: stories,
    onPage: async (path) => {
      faults.push(...(await faultsOf(page)).map((fault) => `${path}: ${fault}`))
      await keepPicture(page, path, name)
    },
  })
  expect(paths.length).toBeGreaterThan(30)
  expect(faults).toEqual([])
})

async function faultsOf(page: Page): Promise<readonly string[]> {
  await page.addScriptTag({ path: AXE })
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  const isTooWide = await page.evaluate<boolean>(
    'document.documentElement.scrollWidth > document.documentElement.clientWidth',
  )
  return [
    ...violations.map(({ id, nodes }) => `${id} at ${nodes.map(({ target }) => target.join(' ')).join(', ')}`),
    ...(isTooWide ? ['it scrolls sideways'] : []),
  ]
}

async function keepPicture(page: Page, path: string, look: string): Promise<void> {
  if (SCREENSHOTS === undefined) return
  mkdirSync(SCREENSHOTS, { recursive: true })
  const name = path
    .replace('/console', '')
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{9}/g, 'id-')
    .replaceAll(/[^\w.-]+/g, '-')
    .slice(0, 80)
  await page.screenshot({ path: join(SCREENSHOTS, `${name === '' ? '-overview' : name}-${look}.png`), fullPage: true })
}

import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
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

test('every page is accessible, and fits a desk and a phone in both colour schemes', async () => {
  const scene = await startNight()
  const faults: string[] = []
  let paths: readonly string[] = []
  for (const { name, ...look } of LOOKS) {
    const { page } = await open({ ...look, bypassCSP: true }) // axe is put into the page
    await signIn(page, scene.opsUrl)
    if (paths.length === 0) paths = await findPages(page, scene.opsUrl)
    for (const path of paths) {
      await page.goto(`${scene.opsUrl}${path}`)
      faults.push(...(await faultsOf(page)).map((fault) => `${name} ${path}: ${fault}`))
      await keepPicture(page, path, name)
    }
  }
  expect(paths.length).toBeGreaterThan(15)
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
    .replace(/[0-9A-HJKMNP-TV-Z]{20,}/g, 'id')
    .replaceAll(/[^\w.-]+/g, '-')
    .slice(0, 80)
  await page.screenshot({ path: join(SCREENSHOTS, `${name === '' ? '-overview' : name}-${look}.png`), fullPage: true })
}

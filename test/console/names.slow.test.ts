import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { shareBrowser, signIn } from './browser.ts'
import { findPages } from './pages.ts'
import { startScene } from './scene.ts'

const open = shareBrowser()

const SOURCE = `s${'o'.repeat(62)}e`
const HANDLER = `h${'a'.repeat(98)}r`
const TYPE = `invoice.${'p'.repeat(112)}`

const HANDLERS = `export default (router) => {
  router.on('invoice.*', { name: '${HANDLER}', retry: { maxAttempts: 1 } }, () => { throw new Error('${'x'.repeat(300)}') })
}`

test('names as long as they may be fit a phone on every page', async () => {
  const handlers = mkdtempSync(join(tmpdir(), 'holdfast-names-'))
  onTestFinished(() => rmSync(handlers, { recursive: true }))
  writeFileSync(join(handlers, 'long.js'), HANDLERS)
  const variable = `SOURCE_${SOURCE.toUpperCase()}`
  const scene = await startScene({
    SOURCES: `shop,${SOURCE}`,
    [`${variable}_PROVIDER`]: 'standard',
    [`${variable}_SECRET`]: 'whsec_bG9uZy1zZWNyZXQtb2YtbG9uZy1uYW1lcy0wMDE=',
    HANDLERS_DIR: handlers,
  })
  await scene.send(TYPE, { [`k${'e'.repeat(200)}y`]: 'v'.repeat(400) })
  await scene.settled(1)
  const { page } = await open({ viewport: { width: 390, height: 844 } })
  await signIn(page, scene.opsUrl)
  const tooWide: string[] = []
  const check = async (path: string): Promise<void> => {
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    if (width > 390) tooWide.push(`${width} ${path}`)
  }
  await findPages(page, scene.opsUrl, { perKind: 2, onPage: check })
  await page.goto(`${scene.opsUrl}/console/events?q=${encodeURIComponent(`type:${TYPE}`)}`)
  await check('a search for the type')
  expect(tooWide).toEqual([])
})

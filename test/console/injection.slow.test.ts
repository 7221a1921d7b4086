import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { shareBrowser, signIn, type Visitor } from './browser.ts'
import { startHostile } from './hostile.ts'
import { ALL_HOSTILE, HOSTILE, HOSTILE_NAME } from './hostile-text.ts'
import { findPages } from './pages.ts'
import type { Scene } from './scene.ts'

const open = shareBrowser()

/** Pages of one kind: the seeded events differ in their payloads. */
const PER_KIND = 12

const inUrl = encodeURIComponent
const said = ALL_HOSTILE.toWellFormed()

/** Pages that say again what they are asked, whatever they answer. */
const REFLECTING = [
  ...[said, ...HOSTILE].map((text) => `/console/events?q=${inUrl(text)}`),
  ...['type', 'source', 'outcome', 'since', 'data.x', 'id'].map(
    (field) => `/console/events?q=${inUrl(`${field}:"<script>hit(20)</script>`)}`,
  ),
  `/console/events?outcome=${inUrl(said)}&cursor=${inUrl(said)}`,
  `/console/events/${inUrl(said)}`,
  `/console/dead?handler=${inUrl(said)}&source=${inUrl(said)}&cause=${inUrl(said)}&by=${inUrl(said)}`,
  `/console/replay?q=${inUrl(HOSTILE[0])}&handler=${inUrl(HOSTILE_NAME)}&cause=${inUrl(HOSTILE[1])}`,
  `/console/discard?q=${inUrl(HOSTILE[0])}&handler=${inUrl(HOSTILE_NAME)}`,
  `/console/part/suggest?q=${inUrl(said)}`,
  `/console/part/suggest?q=${inUrl('type:<')}`,
  `/console/dead/list?source=${inUrl(said)}&handler=${inUrl(said)}&cause=${inUrl(said)}`,
  `/console/tasks?status=${inUrl(said)}&source=${inUrl(said)}&cursor=${inUrl(said)}`,
  `/console/tasks/${inUrl(said)}/${inUrl(said)}`,
  `/console/replays/${inUrl(said)}`,
  `/console/sources/${inUrl(said)}`,
  `/console/handlers/${inUrl(said)}`,
  `/console/handlers/${inUrl(HOSTILE_NAME)}`,
  `/console/audit?actor=${inUrl(HOSTILE[0])}&action=${inUrl(HOSTILE[1])}&since=${inUrl(said)}`,
  `/console?range=${inUrl(said)}`,
  `/console/preferences?to=${inUrl(said)}`,
  `/console/sign-in?to=${inUrl(said)}`,
  `/console/${inUrl(said)}?${inUrl(said)}=${inUrl(said)}`,
]

test('text from outside is inert and legible on every page of the console', async () => {
  const scene = await startHostile()
  const visitor = await open()
  const { page, context } = visitor
  const complaints = visitor.complaints as string[]
  const watch = await watchFor(visitor, scene.opsUrl)
  await context.addCookies([
    { name: 'holdfast-preferences', value: inUrl('"><script>hit(21)</script>.local.off'), url: scene.opsUrl },
  ])
  await signIn(page, scene.opsUrl)
  const faults: string[] = []
  const parts = new Set<string>()
  const files = new Set<string>()
  const look = async (path: string): Promise<void> => {
    const seen = [...(await faultsIn(page)), ...watch.splice(0), ...complaints.splice(0)]
    // The browser itself says in its console that a page was not found, or refused.
    for (const fault of seen) if (!fault.startsWith('Failed to load resource')) faults.push(`${path}: ${fault}`)
    for (const part of await partsOf(page)) parts.add(part)
    for (const file of await filesOf(page)) files.add(file)
  }
  const found = await findPages(page, scene.opsUrl, {
    perKind: PER_KIND,
    onPage: look,
    isFine: (status) => status > 0 && status < 500,
  })
  for (const path of [...REFLECTING, ...parts]) {
    const answer = await page.goto(`${scene.opsUrl}${path}`)
    expect(answer?.status() ?? 500, path).toBeLessThan(500)
    await look(path)
  }
  expect(faults).toEqual([])
  expect(found.length).toBeGreaterThan(30)
  expect(parts.size).toBeGreaterThan(0)
  for (const file of files) await expectInertFile(page, `${scene.opsUrl}${file}`)
  await expectLegible(page, scene)
  await expectStack(page, scene)
})

/** The stack of a hostile error is there to read. */
async function expectStack(page: Page, scene: Scene): Promise<void> {
  const { items } = await scene.api(`/v1/deliveries?state=dead`)
  const { event_uid } = items.find(({ last_error }: { last_error: string }) => last_error.includes(HOSTILE[0]))
  await page.goto(`${scene.opsUrl}/console/events/${event_uid}`)
  const text = await page.locator('main').innerText()
  expect(text).toContain(HOSTILE[0])
  expect(text).toContain('hit(7)')
}

/** Hostile text stands in the page as it is, and what cannot be seen by its name. */
async function expectLegible(page: Page, scene: Scene): Promise<void> {
  const { items } = await scene.api('/v1/events?status=quarantined')
  await page.goto(`${scene.opsUrl}/console/events/${items[0].uid}`)
  const text = await page.locator('main').innerText()
  for (const each of HOSTILE.slice(0, 3)) expect(text).toContain(each)
  for (const name of ['ESC', 'NUL', 'BEL', 'U+202E', 'U+2066', 'U+200B', 'U+FEFF', 'U+009B'])
    expect(text).toContain(name)
}

/** A browser keeps the file, and takes it for nothing that it could show or run. */
async function expectInertFile(page: Page, url: string): Promise<void> {
  const answer = await page.request.get(url)
  expect({ url, status: answer.status(), ...answer.headers() }).toMatchObject({
    url,
    status: 200,
    'content-type': 'application/octet-stream',
    'content-disposition': expect.stringMatching(/^attachment\b/),
    'content-security-policy': expect.stringMatching(/\bsandbox\b/),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
}

/** Collects dialogs, scripts that ran, and whatever a page asked of another place. */
async function watchFor({ page, context }: Visitor, opsUrl: string): Promise<string[]> {
  const seen: string[] = []
  page.on('dialog', (dialog) => {
    seen.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  await context.exposeFunction('hit', (what: unknown) => void seen.push(`a script ran: ${String(what)}`))
  context.on('request', (request) => {
    if (!request.url().startsWith(`${opsUrl}/console`)) seen.push(`a request to ${request.url()}`)
  })
  context.on('page', () => seen.push('another page was opened'))
  return seen
}

/** What in the document could run or lead elsewhere, and what cannot be seen in its text. */
const faultsIn = (page: Page): Promise<readonly string[]> =>
  page.evaluate<readonly string[]>(`(${findFaults.toString()})()`)

/* Runs in the page. */
function findFaults(): readonly string[] {
  // oxlint-disable-next-line typescript/no-explicit-any -- tests have no types of a browser
  const { document, location } = globalThis as any
  const faults: string[] = []
  const isOurs = (url: string) => url.startsWith('#') || /^\/console(?:[/?#]|$)/.test(url)
  for (const element of document.querySelectorAll('*')) {
    const tag = element.tagName.toLowerCase()
    if (['iframe', 'object', 'embed', 'base', 'style', 'template', 'frame'].includes(tag)) faults.push(`<${tag}>`)
    if (tag === 'script' && !element.getAttribute('src')?.startsWith('/console/assets/'))
      faults.push('a script in the page')
    for (const { name, value } of element.attributes) {
      if (/^on|^style$|^srcdoc$|^(?:data-)?hx-(?:on|vals|headers|vars|request)/.test(name))
        faults.push(`${tag} ${name}`)
      if (
        ['href', 'src', 'action', 'formaction', 'hx-get', 'data-hx-get', 'hx-sse:connect'].includes(name) &&
        !isOurs(value)
      )
        faults.push(`${tag} ${name}="${value}"`)
      if (/^(?:data-)?hx-(?:post|put|patch|delete)$/.test(name)) faults.push(`${tag} ${name}`)
      if (name.includes('<') || name.includes('"') || name.includes("'")) faults.push(`${tag} has an attribute ${name}`)
    }
  }
  const unseen = /(?![\t\n])[\p{Cc}\p{Cf}]/u
  const walker = document.createTreeWalker(document.body, 4)
  while (walker.nextNode() !== null) {
    const { textContent } = walker.currentNode
    const at = textContent.search(unseen)
    if (at >= 0)
      faults.push(`text that cannot be seen: ${JSON.stringify(textContent.slice(Math.max(0, at - 20), at + 20))}`)
  }
  if (!isOurs(location.pathname)) faults.push(`it is now at ${location.href}`)
  return faults
}

const filesOf = (page: Page): Promise<readonly string[]> =>
  page.evaluate<readonly string[]>(
    "[...document.querySelectorAll('a[download]')].map((each) => each.getAttribute('href'))",
  )

const partsOf = (page: Page): Promise<readonly string[]> =>
  page.evaluate<readonly string[]>(
    "[...document.querySelectorAll('[hx-get]')].map((each) => each.getAttribute('hx-get'))",
  )

import type { Page } from 'playwright-core'
import { expect } from 'vitest'

interface Finding {
  /** Pages that differ in a name only: at most so many of them. */
  readonly perKind?: number
  /** Pages that are opened whatever their kind. */
  readonly also?: readonly string[]
  /** Called while the page is open. */
  readonly onPage?: (path: string) => Promise<void>
  /** Whether a page may answer with this status; only 200 unless given. */
  readonly isFine?: (status: number) => boolean
}

/** The pages of the console, found by following its own links from the overview. Fails if one of them answers otherwise than with 200. */
export async function findPages(
  page: Page,
  opsUrl: string,
  { perKind = 1, also = [], onPage, isFine = (status) => status === 200 }: Finding = {},
): Promise<readonly string[]> {
  const waiting = [...also, '/console', '/console/sign-in', '/console/preferences']
  const seen = new Map<string, number>()
  const found: string[] = []
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const kind = kindOf(path)
    const count = seen.get(kind) ?? 0
    if ((count >= perKind && !also.includes(path)) || found.includes(path)) continue
    seen.set(kind, count + 1)
    const answer = await page.goto(`${opsUrl}${path}`)
    const status = answer?.status() ?? 0
    expect({ path, status, isFine: isFine(status) }).toEqual({ path, status, isFine: true })
    if (answer?.headers()['content-type']?.startsWith('text/html') !== true) continue
    found.push(path)
    await onPage?.(path)
    waiting.push(...(await linksIn(page)))
  }
  return found
}

async function linksIn(page: Page): Promise<readonly string[]> {
  const links = await page.evaluate<string[]>(
    "[...document.querySelectorAll('a[href]:not([download])')].map(({ href }) => href)",
  )
  return links
    .map((link) => new URL(link))
    .filter(({ origin, pathname }) => origin === new URL(page.url()).origin && /^\/console(\/|$)/.test(pathname))
    .map(({ pathname, search }) => pathname + search)
}

/** Names and ids are taken out, and the values of parameters. */
function kindOf(path: string): string {
  const { pathname, searchParams } = new URL(path, 'http://localhost')
  const words = pathname.split('/').map((word, at) => (at > 2 && word !== '' ? '*' : word))
  return `${words.join('/')}?${[...searchParams.keys()].toSorted().join('&')}`
}

import { randomUUID } from 'node:crypto'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedHeaders } from '../support/events.ts'
import { shareBrowser, signIn } from './browser.ts'
import { type Scene, startScene } from './scene.ts'

const open = shareBrowser()

const story = (page: Page) => page.locator('#story')

test('an operator replays a dead event and sees it succeed without reloading; what is open, focused and selected stays so', async () => {
  const scene = await startScene()
  scene.breakBilling()
  await scene.send('invoice.paid', { number: 7 })
  await scene.settled(1)
  const { page } = await open()
  await signIn(page, scene.opsUrl)
  await page.goto(`${scene.opsUrl}/console/events?q=invoice`)
  await page.getByRole('link', { name: 'invoice.paid' }).click()
  await expect.poll(() => story(page).innerText()).toContain('billing tried 3 times')
  expect(await page.getByRole('group', { name: 'Error and stack' }).innerText()).toContain('connect ECONNREFUSED')

  await page.getByRole('button', { name: 'Replay to billing' }).focus()
  await page.keyboard.press('Enter')
  await page.getByText('Replayed by').waitFor()
  expect(new URL(page.url()).search).toBe('?q=invoice')
  await expect.poll(() => story(page).innerText()).toContain('billing, attempt 3, failed')
  scene.mendBilling()
  await scene.post('/v1/handlers/billing/pause')
  await page.getByRole('button', { name: 'Replay to billing' }).click()
  await expect.poll(() => story(page).innerText()).toContain('waits: it is paused by')

  await page.evaluate('globalThis.isSame = true')
  const stack = page.locator('#m-1-0-stack, #m-0-0-stack').first()
  await stack.locator('summary').click()
  const payload = page.getByText('"invoice.paid"')
  await payload.selectText()
  await page.getByText('Replay to another').focus()
  await scene.post('/v1/handlers/billing/resume')
  await expect.poll(() => story(page).innerText(), { timeout: 20_000 }).toContain('billing succeeded')
  await expect.poll(() => page.getByRole('heading', { level: 1 }).locator('..').innerText()).toContain('succeeded')
  expect(await page.evaluate('globalThis.isSame')).toBe(true)
  expect(await stack.getAttribute('open')).not.toBeNull()
  expect(await page.evaluate('document.activeElement.textContent')).toContain('Replay to another')
  expect(await page.evaluate('String(getSelection())')).toContain('invoice.paid')
  // It has come to its end.
  await expect.poll(() => page.locator('[id^=again-]').count()).toBe(0)
})

const HOSTILE = `<script>hit()</script>"><img src=x onerror=hit()>'\u202etxt.exe\u202c\u001b[31mred\0 \u200b`

describe('what others wrote is inert and legible on the page of an event, and the page is small', () => {
  const shown = async (page: Page, scene: Scene, path: string): Promise<string> => {
    const answer = await page.goto(`${scene.opsUrl}/console/events/${path}`)
    const html = (await answer?.text()) ?? ''
    expect([path, answer?.status(), Buffer.byteLength(html) < 100_000]).toEqual([path, 200, true])
    // What is copied has its true characters, and is an attribute.
    const seen = html.replace(/data-copy="[^"]*"/g, '')
    expect(['\0', '\u202e', '\u001b', '\u200b'].filter((each) => seen.includes(each))).toEqual([])
    expect(await page.evaluate('globalThis.hits')).toBe(0)
    return page.locator('main').innerText()
  }

  test('in payload, headers, type, id, error, stack and search', async () => {
    const scene = await startScene()
    scene.breakBilling()
    const { page, context } = await open()
    await context.addInitScript('globalThis.hits = 0; globalThis.hit = () => globalThis.hits++')
    await signIn(page, scene.opsUrl)
    const body = JSON.stringify({
      type: `invoice.<script>hit()</script>\u202e`,
      timestamp: new Date().toISOString(),
      data: { number: HOSTILE, [HOSTILE]: HOSTILE, list: [HOSTILE, { url: 'javascript:hit()' }] },
    })
    const id = `msg_<img-src=x-onerror=hit()>_${randomUUID()}`
    const headers = { ...signedHeaders(body, AI_SECRET, id), 'x-evil': '"><script>hit()</script>' }
    const { uid } = await post(scene.publicUrl, { id, body, headers }, '/v1/webhooks/shop')
    await scene.settled(1)
    for (const query of [
      '',
      '?show=raw',
      '?show=headers',
      `?q=${encodeURIComponent(HOSTILE)}`,
      `?path=${encodeURIComponent(`/data/${HOSTILE}`)}`,
    ])
      await shown(page, scene, uid + query)
    const text = await shown(page, scene, uid)
    for (const part of [
      '<script>hit()</script>',
      'U+202E',
      'ESC',
      'NUL',
      'U+200B',
      'cannot charge invoice <script>',
      id,
    ])
      expect(text).toContain(part)
    expect(await shown(page, scene, `${uid}?show=headers`)).toContain('"><script>hit()</script>')
    expect(await page.locator('main a[href^="javascript:"]').count()).toBe(0)
  })

  test('in payloads that are long, deep, of invisible characters, or no text', async () => {
    const scene = await startScene({ BODY_LIMIT_BYTES: '4194304' })
    const { page, context } = await open()
    await context.addInitScript('globalThis.hits = 0; globalThis.hit = () => globalThis.hits++')
    await signIn(page, scene.opsUrl)
    const event = (data: string): string => `{"type":"order.created","timestamp":"2026-11-27T00:00:00Z","data":${data}}`
    const send = async (body: string): Promise<string> => {
      const id = `msg_${randomUUID()}`
      const sent = { id, body, headers: signedHeaders(body, AI_SECRET, id) }
      return (await post(scene.publicUrl, sent, '/v1/webhooks/shop')).uid
    }
    const long = await send(event(`"${'x'.repeat(1_048_576)}"`))
    expect(await shown(page, scene, long)).toContain('1.0 MB are too many for a tree')
    const deep = await send(event('['.repeat(30_000) + ']'.repeat(30_000)))
    expect(await shown(page, scene, deep)).toContain('too deep')
    const unseen = JSON.stringify(
      Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`k${at}`, '\u202e\u0007'.repeat(2_000)])),
    )
    const boxes = await send(event(unseen))
    for (const query of ['', '?show=raw', '?path=/data/k1'])
      expect(await shown(page, scene, boxes + query)).toContain('U+202E')
    const text = await send(`a=<script>hit()</script>&b=\0\u001b[31m${'\n'.repeat(9_000)}`)
    expect(await shown(page, scene, text)).toContain('a=<script>hit()</script>&b=NULESC[31m')
  })
})

import { beforeAll, describe, expect, test } from 'vitest'
import { startLocal } from '../support/local-service.ts'
import { OPS_TOKEN, shareScene } from './scene.ts'
import { ask, csrfIn, OWN_PAGE, signedIn, type Visitor } from './visitor.ts'

const scene = shareScene()
const url = () => scene().opsUrl
let visitor: Visitor
beforeAll(async () => {
  visitor = await signedIn(url(), OPS_TOKEN)
})

/** Sends the form of the preferences, which asks for all that other forms do. */
const send = (headers: Record<string, string>, form?: Record<string, string> | string) =>
  ask(url(), '/console/preferences', {
    form: form ?? { csrf: visitor.csrf, theme: 'dark' },
    headers: { cookie: visitor.cookie, ...headers },
  })

describe('a form', () => {
  test('is taken from a page of the console', async () => {
    expect((await send(OWN_PAGE)).status).toBe(303)
    expect((await send({ origin: url() })).status).toBe(303)
  })

  test.each([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['another port or name of this site', { 'sec-fetch-site': 'same-site' }],
    ['no page', { 'sec-fetch-site': 'none' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['another name of this machine', { origin: 'http://localhost:8081' }],
    ['an origin that hides', { origin: 'null' }],
    ['a program that says nothing', {}],
  ])('is refused that comes from %s', async (_, headers: Record<string, string>) => {
    const refused = await send(headers)
    expect(refused).toMatchObject({ status: 403, headers: { 'content-type': 'text/html; charset=utf-8' } })
    expect(refused.headers['set-cookie']).toBeUndefined()
  })

  test('is refused under a host name that is not known', async () => {
    expect((await send({ ...OWN_PAGE, host: 'evil.example' })).status).toBe(421)
  })

  test('is refused without the hidden field of its session', async () => {
    const other = await signedIn(url(), OPS_TOKEN)
    for (const csrf of ['', 'none', other.csrf, `${visitor.csrf}x`])
      expect((await send(OWN_PAGE, { csrf })).status, csrf).toBe(409)
    expect((await send(OWN_PAGE, 'theme=dark')).status).toBe(409)
  })

  test('is refused in another media type, of which browsers send two', async () => {
    for (const type of ['text/plain', 'multipart/form-data; boundary=x'])
      expect((await send({ ...OWN_PAGE, 'content-type': type }, 'a=1')).status, type).toBe(415)
    const csrf = JSON.stringify({ csrf: visitor.csrf })
    expect((await send({ ...OWN_PAGE, 'content-type': 'application/json' }, csrf)).status).toBe(415)
  })

  test('is bounded in its bytes and its fields, and may name any field', async () => {
    expect((await send(OWN_PAGE, `csrf=${'x'.repeat(70_000)}`)).status).toBe(413)
    expect((await send(OWN_PAGE, 'a=1&'.repeat(300))).status).toBe(400)
    const odd = `__proto__=1&constructor=2&theme=light&theme=dark&%ff%00=3&csrf=${visitor.csrf}&csrf=none`
    const { status, headers } = await send(OWN_PAGE, odd)
    expect(status).toBe(303)
    expect(headers['set-cookie']?.[0]).toMatch(/^holdfast-preferences=light\./)
    const open = { form: `token=${'x'.repeat(20_000)}`, headers: OWN_PAGE }
    expect((await ask(url(), '/console/sign-in', open)).status).toBe(413)
  })

  test('is read by no route of the API', async () => {
    const headers = { authorization: `Bearer ${OPS_TOKEN}` }
    for (const path of ['/v1/reload', '/v1/replays', '/v1/handlers/billing/pause'])
      expect((await ask(url(), path, { form: { all: 'true' }, headers })).status, path).toBe(415)
  })
})

describe('every answer of the console', () => {
  test.each([
    ['a page', '/console/events', {}, 200],
    ['a page that is not there', '/console/nowhere', {}, 404],
    ['an event that is not there', '/console/events/nowhere', {}, 404],
    ['an encoded path', '/%63onsole/events', {}, 200],
    ['a part that is not there', '/console/part/nowhere', {}, 404],
    ['the page to sign in', '/console/sign-in', { cookie: '' }, 200],
    ['the way to it', '/console/events', { cookie: '' }, 303],
    [
      'the page that asks again',
      '/console/events',
      { cookie: '', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      200,
    ],
    [
      'a refusal to another site',
      '/console/events',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      403,
    ],
    [
      'a refusal to be framed',
      '/console/events',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      403,
    ],
    ['a refusal of another host', '/console/events', { host: 'evil.example', 'sec-fetch-site': 'none' }, 421],
  ])('has the headers that bound a page: %s', async (_, path, headers: Record<string, string>, status) => {
    const answer = await visitor.get(path, headers)
    expect(answer.status).toBe(status)
    expect(answer.headers).toMatchObject({
      'content-security-policy': expect.stringMatching(
        /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/,
      ),
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    expect(answer.headers['content-security-policy']).not.toContain('unsafe')
  })

  test('may be kept only if its URL has the hash of its content', async () => {
    const page = await visitor.get('/console')
    const files = [...page.text.replaceAll('&#x2F;', '/').matchAll(/(?:href|src)="(\/console\/assets\/[^"]+)"/g)].map(
      ([, file = '']) => file,
    )
    expect(files.length).toBeGreaterThan(3)
    for (const file of files) {
      const { status, headers } = await ask(url(), file, { headers: { 'sec-fetch-site': 'same-origin' } })
      expect(status, file).toBe(200)
      expect(headers['cache-control'], file).toBe('public, max-age=31536000, immutable')
      expect(headers['content-type'], file).toMatch(/^(?:text\/(?:css|javascript); charset=utf-8|image\/svg\+xml)$/)
      expect(headers, file).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
      })
      expect(headers['content-security-policy'], file).toContain("default-src 'none'")
      expect(await ask(url(), file, { method: 'HEAD' }), file).toMatchObject({ status: 200, text: '' })
    }
    const older = await ask(url(), '/console/assets/0000000000/console.css')
    expect(older).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    expect((await ask(url(), '/console/assets/0000000000/nowhere.js')).status).toBe(404)
  })
})

test('without a token, forms need the page of the service, its host name and its field all the same', async () => {
  const { opsUrl } = await startLocal()
  const page = await ask(opsUrl, '/console/preferences')
  expect(page.status).toBe(200)
  const csrf = csrfIn(page)
  expect(csrf.length).toBeGreaterThan(40)
  const form = { csrf, theme: 'dark' }
  const sent = async (headers: Record<string, string>, fields: Record<string, string> = form) =>
    (await ask(opsUrl, '/console/preferences', { form: fields, headers })).status
  expect(await sent(OWN_PAGE)).toBe(303)
  expect(await sent({ origin: opsUrl })).toBe(303)
  expect(await sent({})).toBe(403)
  expect(await sent({ origin: 'http://localhost:3000' })).toBe(403)
  expect(await sent({ 'sec-fetch-site': 'same-site' })).toBe(403)
  expect(await sent({ ...OWN_PAGE, host: 'evil.example' })).toBe(421)
  expect(await sent(OWN_PAGE, { theme: 'dark' })).toBe(409)
  expect(await sent(OWN_PAGE, { csrf: 'none' })).toBe(409)
  expect((await ask(opsUrl, '/console', { headers: { host: 'evil.example' } })).status).toBe(421)
  expect((await ask(opsUrl, '/console/sign-in')).headers.location).toBe('/console')
})

import { describe, expect, test } from 'vitest'
import { OPS_READ_TOKEN, OPS_TOKEN, shareScene } from './scene.ts'
import { ask, cookieIn, csrfIn, OWN_PAGE, signedIn } from './visitor.ts'

const scene = shareScene({ OPS_ALLOWED_HOSTS: 'ops.example.com' })
const url = () => scene().opsUrl

const signIn = (fields: Record<string, string> = {}, headers: Record<string, string> = {}) =>
  ask(url(), '/console/sign-in', { form: { token: OPS_TOKEN, ...fields }, headers: { ...OWN_PAGE, ...headers } })

describe('the way to the console', () => {
  test('leads a browser from the root of the listener to the console, and programs nowhere', async () => {
    const headers = { accept: 'text/html,*/*;q=0.8' }
    expect(await ask(url(), '/', { headers })).toMatchObject({ status: 302, headers: { location: '/console' } })
    expect(await ask(url(), '/?a=1', { headers })).toMatchObject({ status: 302 })
    for (const accept of ['*/*', 'application/json']) {
      const answer = await ask(url(), '/', { headers: { accept } })
      expect(answer, accept).toMatchObject({ status: 401, headers: { 'content-type': 'application/problem+json' } })
    }
    expect((await ask(url(), '/', { method: 'POST', headers })).status).toBe(401)
  })

  test('asks those to sign in who have not, and remembers where they wanted to go', async () => {
    for (const path of ['/console', '/console/', '/console/events?q=a%20b', '/console/nowhere'])
      expect(await ask(url(), path), path).toMatchObject({
        status: 303,
        headers: { location: `/console/sign-in?to=${encodeURIComponent(path)}` },
      })
  })

  test('has a link from another site asked again by a page of its own, which sends the cookie', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
    const { status, text } = await ask(url(), '/console/events?q="a&b', { headers })
    expect(status).toBe(200)
    expect(text).toContain('content="0;url=&#x2F;console&#x2F;events?q&#x3D;&quot;a&amp;b"')
    expect(
      (await ask(url(), '/console/events', { headers: { ...headers, 'sec-fetch-site': 'same-origin' } })).status,
    ).toBe(303)
  })

  test('answers 401 to parts and forms of those who have not signed in, never with a page to sign in', async () => {
    expect(await ask(url(), '/console/part/nowhere')).toMatchObject({ status: 401, headers: {} })
    expect((await ask(url(), '/console/preferences', { form: {}, headers: OWN_PAGE })).status).toBe(401)
  })

  test('tells those who have not signed in nothing of what runs, and leads back to the page whose form they sent', async () => {
    const page = await ask(url(), '/console/sign-in')
    expect(page.text).not.toMatch(/holdfast \d|<nav/)
    expect((await (await signedIn(url(), OPS_TOKEN)).get('/console')).text).toMatch(/holdfast \d/)
    const headers = { ...OWN_PAGE, referer: `${url()}/console/replay?q=type:a` }
    const refused = await ask(url(), '/console/replay', { form: {}, headers })
    expect(refused.status).toBe(401)
    const to = encodeURIComponent('/console/replay?q=type:a').replaceAll('=', '&#x3D;')
    expect(refused.text.replaceAll('&#x3D;', '=')).toContain(`href="/console/sign-in?to=${to}"`)
  })

  test('answers in HTML for a path or a method that there is not', async () => {
    const { get, cookie } = await signedIn(url(), OPS_TOKEN)
    const missing = await get('/console/nowhere/at/all')
    expect(missing).toMatchObject({ status: 404, headers: { 'content-type': 'text/html; charset=utf-8' } })
    expect(missing.text).toContain('aria-label="Console"')
    const wrong = await ask(url(), '/console/events', { method: 'PUT', headers: { cookie } })
    expect(wrong).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD', 'content-type': 'text/html; charset=utf-8' },
    })
    const part = await get('/console/part/nowhere')
    expect(part.status).toBe(404)
    expect(part.text).not.toContain('<html')
  })

  test('answers HEAD like GET, without the page', async () => {
    const { cookie } = await signedIn(url(), OPS_TOKEN)
    const answer = await ask(url(), '/console/events', { method: 'HEAD', headers: { cookie } })
    expect(answer).toMatchObject({ status: 200, text: '', headers: { 'content-type': 'text/html; charset=utf-8' } })
  })
})

describe('a session', () => {
  test('is kept in a cookie that no script reads, no other site sends, and that ends after half an hour', async () => {
    const { port } = new URL(url())
    const [cookie = ''] = (await signIn()).headers['set-cookie'] ?? []
    expect(cookie).toMatch(new RegExp(`^holdfast-${port}=write\\.`))
    expect(cookie.split('; ').slice(1).toSorted()).toEqual(['HttpOnly', 'Max-Age=1800', 'Path=/', 'SameSite=Strict'])
  })

  test.each([
    ['the proxy says so', { 'x-forwarded-proto': 'https' }],
    ['the page that sent the form has it', { origin: 'https://ops.example.com' }],
  ])('is never sent without https if %s', async (_, headers) => {
    const answer = await signIn({}, { host: 'ops.example.com', ...headers })
    const [cookie = ''] = answer.headers['set-cookie'] ?? []
    expect(cookie).toMatch(/^__Host-holdfast=/)
    expect(cookie.split('; ')).toContain('Secure')
    // Later requests may not say it.
    const page = await ask(url(), '/console/events', { headers: { host: 'ops.example.com', cookie: cookieIn(answer) } })
    expect(page.status).toBe(200)
  })

  test('of the token that only reads has no controls, and its forms are refused', async () => {
    const { get, send } = await signedIn(url(), OPS_READ_TOKEN)
    expect((await get('/console/handlers/billing')).text).not.toContain('/pause"')
    const refused = await send('/console/handlers/billing/pause')
    expect(refused).toMatchObject({ status: 403, headers: { 'content-type': 'text/html; charset=utf-8' } })
    expect(refused.text).toContain('This token may only read')
    expect((await send('/console/preferences', { theme: 'dark' })).status).toBe(303)
  })

  test('is over when somebody signs out, also for a copy of its cookie', async () => {
    const { get, send } = await signedIn(url(), OPS_TOKEN)
    const other = await signedIn(url(), OPS_TOKEN)
    const out = await send('/console/sign-out')
    expect(out).toMatchObject({ status: 303, headers: { location: '/console/sign-in' } })
    expect(out.headers['set-cookie']?.[0]).toMatch(/=; Max-Age=0; /)
    expect((await get('/console/events')).status).toBe(303)
    expect((await other.get('/console/events')).status).toBe(200)
  })

  test('is for pages alone: the API does not know the cookie', async () => {
    const { cookie } = await signedIn(url(), OPS_TOKEN)
    for (const path of ['/v1/events', '/metrics', '/openapi.json', '/v1/live'])
      expect((await ask(url(), path, { headers: { cookie } })).status, path).toBe(401)
    const reload = await ask(url(), '/v1/reload', { method: 'POST', headers: { cookie, ...OWN_PAGE } })
    expect(reload.status).toBe(401)
  })

  test('goes on beside the password of a proxy, and a bearer token needs none', async () => {
    const { get } = await signedIn(url(), OPS_TOKEN)
    expect((await get('/console/events', { authorization: 'Basic b3BzOnNlY3JldA==' })).status).toBe(200)
    const headers = { authorization: `Bearer ${OPS_TOKEN}` }
    const page = await ask(url(), '/console/preferences', { headers })
    expect(page.status).toBe(200)
    const form = { csrf: csrfIn(page), theme: 'dark' }
    expect((await ask(url(), '/console/preferences', { form, headers: { ...headers, ...OWN_PAGE } })).status).toBe(303)
  })

  test('ends with its token', async () => {
    const { get } = await signedIn(url(), OPS_READ_TOKEN)
    scene().configured.OPS_READ_TOKEN = 'another-token-that-may-only-read'
    await scene().reloadConfig('request')
    expect((await get('/console/events')).status).toBe(303)
    scene().configured.OPS_READ_TOKEN = OPS_READ_TOKEN
    await scene().reloadConfig('request')
    expect((await get('/console/events')).status).toBe(200)
  })
})

describe('signing in', () => {
  test('answers a wrong token slowly, while a right one is let in at once', async () => {
    const began = performance.now()
    let isRefused = false
    const wrong = signIn({ token: 'wrong' }).finally(() => {
      isRefused = true
    })
    expect((await signIn()).status).toBe(303)
    expect(isRefused).toBe(false)
    const refused = await wrong
    expect(refused.status).toBe(401)
    expect(refused.text).toContain('neither OPS_TOKEN nor OPS_READ_TOKEN')
    expect(refused.text).not.toContain('wrong"')
    expect(performance.now() - began).toBeGreaterThan(990)
  })

  test.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example/console',
    'javascript:alert(1)',
    '/console\r\nlocation: https://evil.example',
    '/console@evil.example',
    '/console.evil.example',
    '/console/../v1/events',
    '/console/%2e%2e/v1/events',
    '/console/part/events',
    '/console/live',
    '/console/sign-in',
    '/CONSOLE',
    '',
  ])('never leads on to %j', async (to) => {
    expect((await signIn({ to })).headers.location).toBe('/console')
    const page = await ask(url(), `/console/sign-in?to=${encodeURIComponent(to)}`)
    expect(page.text).toContain('name="to" value="&#x2F;console"')
  })

  test.each(['/console/events?q=a%20b&x="', '/console/events/1/', '/console?range=24h', '/console//evil.example'])(
    'leads on to %s, which is a page of the console',
    async (to) => {
      const { location = '' } = (await signIn({ to })).headers
      expect(new URL(location, url()).href).toBe(new URL(to, url()).href)
      expect(location).toMatch(/^\/console/)
    },
  )
})

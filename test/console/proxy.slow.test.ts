import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openBrowser, visit } from './browser.ts'
import { OPS_TOKEN, startScene } from './scene.ts'

let browser: Browser
let tls: { readonly key: Buffer; readonly cert: Buffer }

beforeAll(async () => {
  browser = await openBrowser(['--host-resolver-rules=MAP *.example 127.0.0.1'])
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const made = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-subj',
    '/CN=ops.example',
  ]
  execFileSync('openssl', [...made, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  tls = { key: readFileSync(key), cert: readFileSync(cert) }
  rmSync(directory, { recursive: true })
})
afterAll(() => browser?.close())

interface Manners {
  /** What the proxy says to the service of itself and its client. */
  readonly headers: Readonly<Record<string, string>>
  readonly isHostKept: boolean
}

/** A proxy with https in front of the ops listener. Resolves with its URL at `ops.example`. */
async function startProxy(opsUrl: string, { headers, isHostKept }: Manners): Promise<string> {
  const { port, host } = new URL(opsUrl)
  const proxy: Server = createServer(tls, (incoming, answer) => {
    const own = { ...incoming.headers, ...headers, ...(!isHostKept && { host }) }
    const asked = request({ port, path: incoming.url, method: incoming.method, headers: own }, (got) => {
      answer.writeHead(got.statusCode ?? 502, got.headers)
      got.pipe(answer)
    })
    asked.on('error', () => answer.destroy())
    incoming.pipe(asked)
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  return `https://ops.example:${(proxy.address() as AddressInfo).port}`
}

async function person(): Promise<Page> {
  const { context, page, complaints } = await visit(browser, { ignoreHTTPSErrors: true })
  onTestFinished(async () => {
    await context.close()
    expect(complaints).toEqual([])
  })
  return page
}

test.each([
  ['says that its client speaks https', { headers: { 'x-forwarded-proto': 'https' }, isHostKept: true }],
  ['says nothing', { headers: {}, isHostKept: true }],
  ['sends a host name of its own', { headers: {}, isHostKept: false }],
])(
  'behind a proxy with https that %s, one signs in with a cookie that is only for https, sends forms, and signs out',
  async (_, manners) => {
    const scene = await startScene({ OPS_ALLOWED_HOSTS: 'ops.example' })
    const url = await startProxy(scene.opsUrl, manners)
    const page = await person()
    await page.goto(`${url}/console/preferences`)
    await page.getByLabel('Token').fill(OPS_TOKEN)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Keep' }).waitFor()
    const cookies = await page.context().cookies()
    expect(cookies).toHaveLength(1)
    expect(cookies[0]).toMatchObject({
      domain: 'ops.example',
      path: '/',
      secure: true,
      httpOnly: true,
      sameSite: 'Strict',
    })
    expect(cookies[0]?.name).toMatch(/^__Host-holdfast-\d+$/)
    await page.getByRole('radio', { name: 'dark' }).check()
    await page.getByRole('button', { name: 'Keep' }).click()
    await expect.poll(() => page.locator('html').getAttribute('data-theme')).toBe('dark')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Token').waitFor()
    const left = (await page.context().cookies()).map(({ name }) => name)
    expect(left).toEqual(['holdfast-preferences'])
  },
)

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const HOLDFAST = new URL('../../src/index.ts', import.meta.url).href

/** The modules that a process has loaded after it has run this code. */
async function loadedBy(code: string): Promise<readonly string[]> {
  const script = `
    import { registerHooks } from 'node:module'
    const urls = []
    registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
    ${code}
    console.log(JSON.stringify(urls))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
  })
  return JSON.parse(stdout) as string[]
}

const isClient = (url: string): boolean => /undici|\/outbound\/(?!address-filter)/.test(url)

test('a handler module that imports from holdfast, and one that makes a forward, does not load the HTTP client', async () => {
  const urls = await loadedBy(`
    const { Type, forward } = await import(${JSON.stringify(HOLDFAST)})
    forward({ url: 'https://orders.example.com', secret: 'any words' })`)
  expect(urls).toContainEqual(expect.stringMatching(/\/forward\/forward\.ts$/))
  expect(urls.filter(isClient)).toEqual([])
})

test('the first event loads the HTTP client', async () => {
  const urls = await loadedBy(`
    const { forward } = await import(${JSON.stringify(HOLDFAST)})
    const event = { raw: () => Buffer.from('{}'), uid: 'u', type: 't', source: 's', headers: {} }
    const send = forward({ url: 'http://127.0.0.1:1', allowPrivate: true })
    await send(event, { attempt: 1, signal: AbortSignal.abort() }).catch(() => {})`)
  expect(urls.filter(isClient).length).toBeGreaterThan(3)
})

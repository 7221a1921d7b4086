import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { loadInThread } from '../../src/modules/load-modules.ts'
import { providerFaults } from '../../src/providers/check-provider.ts'
import { shippedModules } from '../../src/providers/index.ts'
import { temporaryDirectory } from '../support/service.ts'

const log = pino({ level: 'silent' })
const PARTS = `name: 'acme', verify: { scheme: 'shared-secret', from: { header: 'x-token' } }`

function load(text: string, maxLoadingMs?: number) {
  const file = join(temporaryDirectory(), 'acme.mjs')
  writeFileSync(file, text)
  return loadInThread(pathToFileURL(file).href, {
    environment: process.env,
    log,
    ...(maxLoadingMs !== undefined && { maxLoadingMs }),
  })
}

const faultsOf = async (text: string) => providerFaults((await load(text)).default)

/** As JSON, with the place of each function. */
const outline = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each) => (typeof each === 'function' ? 'a function' : each)))

describe('a provider module that is loaded in a thread', () => {
  const shipped = Object.entries(shippedModules).map(([file, provider]) => ({ name: provider.name, file, provider }))

  test.each(shipped)(
    'gives all that module $name exports, with functions that cannot be called',
    async ({ file, provider }) => {
      const module = import.meta.resolve(`../../src/providers/${file}`)
      const loaded = (await loadInThread(module, { environment: process.env, log })).default
      expect(outline(loaded)).toEqual(outline(provider))
      expect(providerFaults(loaded)).toEqual([])
    },
  )

  test('gives its exports even if it posts messages of its own while it loads', async () => {
    const loaded = await load(`
      import { parentPort } from 'node:worker_threads'
      for (const said of ['ready', null, 7, { kind: 'line' }, { kind: 'other' }]) parentPort.postMessage(said)
      export default { ${PARTS}, event: { type: 'body:type' } }`)
    expect(providerFaults(loaded.default)).toEqual([])
  })

  test('runs none of its code in the main thread', async () => {
    const loaded = await load(`
      globalThis.wasHere = true
      setInterval(() => { for (;;); }, 1)
      export default { ${PARTS}, event: () => ({}), get ends() { globalThis.wasHere = true; return undefined } }`)
    expect(loaded.default).toEqual({
      name: 'acme',
      verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
      event: expect.any(Function),
    })
    expect('wasHere' in globalThis).toBe(false)
    expect((loaded.default as { event: () => void }).event).toThrow('only in its own threads')
  })

  test.each([
    [
      'a class of its own',
      `class Acme { constructor() { Object.assign(this, { ${PARTS} }) } event() {} }; export default new Acme()`,
    ],
    ['a proxy', `export default new Proxy({ ${PARTS}, event: { type: 'body:' } }, {})`],
    ['an object that JSON replaces by another one', `export default { toJSON: () => ({ ${PARTS}, event: () => {} }) }`],
  ])('may export %s', async (_, text) => {
    expect(await faultsOf(text)).toEqual([])
  })

  test.each([
    ['an async function', `event: async () => {}`, '/event must not be an async function'],
    [
      'a function in the place of data',
      `event: { type: () => 'a' }`,
      '/event/type must be string, or /event/type must be array',
    ],
    ['data in the place of a function', `event: { type: 'body:' }, ends: 7`, '/ends must be a function'],
    ['an unknown member', `event: { type: 'body:' }, more: 1`, '/ must NOT have additional properties: "more"'],
    [
      'a schema that is not valid',
      `event: { type: 'body:' }, schemas: { a: { type: 'txt' } }`,
      /^\/schemas\/a: schema is invalid/,
    ],
  ])('with %s is refused with the place of the fault', async (_, part, fault) => {
    const [first = ''] = await faultsOf(`export default { ${PARTS}, ${part} }`)
    if (typeof fault === 'string') expect(first).toBe(fault)
    else expect(first).toMatch(fault)
  })

  test('without a default export gives none', async () => {
    expect(await load('export const acme = 1')).toEqual({})
    expect(await load('export default undefined')).toEqual({ default: undefined })
  })

  test.each([
    ['throws', `throw new Error('no such luck')`, 'no such luck'],
    ['is no JavaScript', 'export default {', /Unexpected/],
    ['loops', 'for (;;);', 'it took longer than 300 ms to load'],
    ['ends its process', 'process.exit(0)', /^it ended the thread that loads it/],
    [
      'waits for a promise that never resolves',
      'await new Promise(() => {})',
      /^it ended the thread that loads it, or awaits/,
    ],
    [
      'leaves a rejection without a listener',
      `Promise.reject(new Error('late')); await new Promise((r) => setTimeout(r, 1e5))`,
      'late',
    ],
    [
      // The place of a syntax error is looked for in a process, before which the thread has ended.
      'leaves a syntax error without a listener',
      `void import('data:text/javascript,export default {'); await new Promise((r) => setTimeout(r, 1e5))`,
      /Unexpected/,
    ],
    [
      'throws a value that is no error',
      'setTimeout(() => { throw null }, 1); await new Promise((r) => setTimeout(r, 1e5))',
      'null',
    ],
    ['fills its memory', 'const all = new Map(); while (true) all.set(all.size, 1)', /memory/],
    ['leads to itself', 'const a = {}; a.a = a; export default a', 'it nests deeper than 256'],
    ['throws where it is read', `export default { get name() { throw new Error('shy') } }`, 'shy'],
  ])('that %s while it loads is refused with the reason', async (_, text, reason) => {
    // The others have all the time that they need.
    await expect(load(text, text.startsWith('for') ? 300 : 50_000)).rejects.toThrow(reason)
  })
})

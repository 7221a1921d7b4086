import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { check, checkWithin } from '../support/check-command.ts'
import { write } from '../support/package.ts'
import { temporaryDirectory } from '../support/service.ts'
import { FAULTY, FAULTY_TEXTS, faultIn, HELPERS } from './faulty-modules.ts'

/** Modules that call the router wrongly. */
const CALLS = {
  'calls-a.ts': `import { more } from './lib/more.ts'
export default (router: any): void => {
  router.on('a.b', { name: 'half', concurrency: 0.5 }, () => {})
    router.register([], () => {})
  more(router)
  router.on('a.b', () => {}, () => {})
}`,
  'calls-b.ts': `export default async (router: any): Promise<void> => {
  await undefined
  router.on('x', { name: 'shared' }, () => {})
}`,
  'calls-c.ts': 'export const a = 1\n\nexport default a\n',
  'lib/more.ts': `export const more = (router: any): void => {
  router.on('x', { name: 'shared' }, () => {})
  router.on('x', { name: 3 }, () => {})
}`,
}

/** Modules with imports that only TypeScript accepts. */
const IMPORTS = {
  'imports-a.ts': "import { rates } from './_rates.js'\nexport default () => rates\n",
  'imports-b.ts': "import { rates } from './_rates'\nexport default () => rates\n",
  'imports-c.ts': "import { rates } from './lib'\nexport default () => rates\n",
  'imports-d.ts': "import { Router } from 'holdfast'\nexport default (router: Router) => router\n",
  'imports-e.ts': "import { rates } from './_none.js'\nexport default () => rates\n",
  '_rates.ts': 'export const rates = 1\n',
  'lib/index.ts': 'export const rates = 1\n',
}

/** A module that notes that it runs, and then fails by a syntax error without a place. */
const NOTED = {
  'noted.mjs': 'import "./lib/note.mjs"\nawait import("./lib/syntax.mjs")\nexport default () => {}\n',
  'lib/note.mjs': 'import { appendFileSync } from "node:fs"\nappendFileSync("runs", "once")\n',
  'lib/syntax.mjs': 'export const a = )\n',
}

/** Modules with errors that nothing catches. */
const STRAY = {
  'stray-a.ts': "void Promise.reject(new Error('no connection'))\nexport default () => {}\n",
  'stray-b.ts': "export default () => {\n  process.nextTick(() => { throw new Error('no settings') })\n}\n",
  'stray-c.ts': "queueMicrotask(() => { throw new Error('no address') })\nawait new Promise(() => {})\n",
  'stray-d.ts': 'export default () => {}\n',
}

const SECRET = { 'secret.ts': 'throw new Error(`the token ${process.env.OPS_TOKEN} is wrong`)\n' }

const PROVIDERS = {
  'acme.ts': `// export default is below
const verify = { scheme: 'shared-secret', from: { header: 'x-token' } }

export default { name: 'acme', verify, event: { type: 'body:type' }, ends: 7, samples: 8 }
`,
  'none.ts': 'export const acme = 1\n',
  'stray.ts': "void Promise.reject(new Error('no keys'))\nexport default {}\n",
}
/** Of the modules of `FAULTY`, one for each way to find the place; module-faults.slow.test.ts has them all. */
const FAULTY_PROVIDERS = ['b-enum.ts', 'c-javascript.js', 'i-helper-import.ts', 'k-helper-throws.ts'] as const

describe('the check command', () => {
  let directory: string
  let checked: Awaited<ReturnType<typeof check>>
  beforeAll(async () => {
    directory = temporaryDirectory(afterAll)
    const handlers = { ...FAULTY_TEXTS, ...CALLS, ...IMPORTS, ...NOTED, ...STRAY, ...SECRET, ...HELPERS }
    const faultyProviders = Object.fromEntries(FAULTY_PROVIDERS.map((name) => [name, FAULTY_TEXTS[name] ?? '']))
    write(join(directory, 'handlers'), handlers)
    write(join(directory, 'providers'), { ...faultyProviders, ...PROVIDERS, ...SECRET, ...HELPERS })
    checked = await check(directory, {
      OPS_TOKEN: 'Zk4Qe8vT1mWx7RbN',
      PROVIDERS_DIR: 'providers',
      HANDLERS_DIR: 'handlers',
      HANDLER_PROCESSES: '1',
    })
  })

  /** The faults of modules whose names match, each from the name on. */
  const faultsOf = (kind: 'handler' | 'provider', name: RegExp): readonly string[] => {
    const before = `${kind} module ${kind}s/`
    const own = checked.faults.filter((fault) => fault.startsWith(before)).map((fault) => fault.slice(before.length))
    return own.filter((fault) => name.test(fault))
  }

  test('names file, line and column for what is wrong in each module, and runs nothing to find them', () => {
    const expectFaults = (kind: 'handler' | 'provider', names: readonly string[]): void => {
      const expected = names.map((name) => faultIn(`${kind}s`, name))
      const faults = faultsOf(kind, /^[a-z]-/)
      expect(faults.map((fault, at) => fault.slice(0, expected[at]?.length))).toEqual(expected)
    }
    expectFaults('handler', Object.keys(FAULTY))
    expectFaults('provider', FAULTY_PROVIDERS)
    expect(checked).toMatchObject({ code: 78, ok: false, warnings: [] })
    expect(existsSync(join(directory, 'effect'))).toBe(false)
  })

  test('runs a module once in each handler process, even if it looks for the place of a syntax error in another process', () => {
    expect(faultsOf('handler', /^noted/)).toEqual(["noted.mjs: Unexpected token ')'"])
    expect(readFileSync(join(directory, 'runs'), 'utf8')).toBe('once')
  })

  test('names the line of each wrong call of the router, also of a call by a helper', () => {
    expect(faultsOf('handler', /^calls/)).toEqual([
      'calls-a.ts:3:10: handler half: concurrency is 0.5, not a whole number above 0',
      'calls-a.ts:4:12: a handler needs an event type, or a list of them',
      "calls-a.ts: handlers/lib/more.ts:3:10: a handler's name has 1 to 256 characters",
      'calls-a.ts:6:10: on takes the handler last',
      'calls-b.ts:3:10: the name shared is taken by handlers/lib/more.ts:2:10; give one of the two handlers another name',
      'calls-c.ts:3:1: it does not default-export a function',
    ])
  })

  test('says what Node needs in place of an import that only TypeScript accepts', () => {
    const missing = (name: string): string => `Cannot find module '${join(directory, 'handlers', name)}'`
    expect(faultsOf('handler', /^imports/)).toEqual([
      `imports-a.ts:1:23: ${missing('_rates.js')}: the file is _rates.ts, and Node needs its exact name`,
      `imports-b.ts:1:23: ${missing('_rates')}: the file is _rates.ts, and Node needs its exact name`,
      expect.stringMatching(/^imports-c\.ts:1:23: .*lib/),
      "imports-d.ts:1:10: The requested module 'holdfast' does not provide an export named 'Router': a type needs import type",
      `imports-e.ts:1:23: ${missing('_none.js')}`,
    ])
  })

  test('names the module of an error that nothing catches while it loads', () => {
    expect(faultsOf('provider', /^stray/)).toEqual(['stray.ts:1:21: no keys'])
    expect(faultsOf('handler', /^stray/)).toEqual([
      'stray-a.ts:1:21: no connection',
      'stray-b.ts:2:34: no settings',
      'stray-c.ts:1:30: no address',
    ])
  })

  test('shows no configured secret in the fault of a module', () => {
    const fault = 'secret.ts:1:7: the token [redacted] is wrong'
    expect(faultsOf('provider', /^secret/)).toEqual([fault])
    expect(faultsOf('handler', /^secret/)).toEqual([fault])
  })

  test('names the line of the default export for each wrong member of a provider', () => {
    expect(faultsOf('provider', /^(?:acme|none)/)).toEqual([
      'acme.ts:4:1: /ends must be a function',
      'acme.ts:4:1: /samples must be a function',
      'none.ts: it has no default export',
    ])
  })
})

test('a module outside the working directory is named by its path, and by the name of a link to it', async () => {
  const elsewhere = temporaryDirectory()
  write(elsewhere, { 'versions/1.ts': 'throw new Error("at the top")' })
  const [HANDLERS_DIR, PROVIDERS_DIR] = [join(elsewhere, 'handlers'), join(elsewhere, 'providers')]
  for (const directory of [HANDLERS_DIR, PROVIDERS_DIR]) {
    mkdirSync(directory)
    symlinkSync(join(elsewhere, 'versions/1.ts'), join(directory, 'linked.ts'))
  }
  const { faults } = await checkWithin({ HANDLERS_DIR, PROVIDERS_DIR })
  expect(faults).toEqual([
    `provider module ${PROVIDERS_DIR}/linked.ts:1:7: at the top`,
    `handler module ${HANDLERS_DIR}/linked.ts:1:7: at the top`,
  ])
})

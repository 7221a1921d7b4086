import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { check } from '../support/check-command.ts'
import { temporaryDirectory } from '../support/service.ts'

/** Writes the files into the directory, with their folders. */
function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
}

/** Each of these modules has one fault: file → text and the fault that names the place, after the folder's name. */
const FAULTY: Readonly<Record<string, readonly [text: string, fault: string]>> = {
  'a-syntax.ts': [
    'interface Order { id: string }\n\nexport default () => {\n\tconst name: string = "漢字", id = = 3\n}\n',
    'a-syntax.ts:4:34: Expression expected',
  ],
  'b-enum.ts': [
    'const one: number = 1\n  enum Color { Red }\nexport default () => one\n',
    'b-enum.ts:2:3: TypeScript enum is not supported in strip-only mode',
  ],
  'c-javascript.js': [
    'import { sideEffect } from "./lib/effect.js"\nexport default () => {\n\tconst x = "é😀", y = = 2\n}\n',
    "c-javascript.js:3:23: Unexpected token '='",
  ],
  'd-twice.ts': [
    'export default () => {\n  let total: number = 1; let total = 2\n}\n',
    "d-twice.ts:2:30: Identifier 'total' has already been declared",
  ],
  'e-no-file.ts': [
    '// import { one } from "./lib/missing.ts"\nimport { two } from "./lib/two.ts"\nimport {\n  one,\n} from "./lib/missing.ts"\nexport default () => [one, two]\n',
    'e-no-file.ts:5:8: Cannot find module ',
  ],
  'f-no-package.ts': [
    'import nothing from "no-such-package/part"\nexport default nothing\n',
    "f-no-package.ts:1:21: Cannot find package 'no-such-package'",
  ],
  'g-no-export.ts': [
    'import { two, three } from "./lib/two.ts"\nexport default () => [two, three]\n',
    "g-no-export.ts:1:15: The requested module './lib/two.ts' does not provide an export named 'three'",
  ],
  'h-throws.ts': [
    'interface Settings { url: string }\nconst read = (): Settings => { throw new Error("no settings") }\nread()\nexport default () => {}\n',
    'h-throws.ts:2:38: no settings',
  ],
  'i-helper-import.ts': [
    'import { nothing } from "./lib/imports-nothing.ts"\nexport default nothing\n',
    "i-helper-import.ts: modules/lib/imports-nothing.ts:2:21: Cannot find package 'no-such-package'",
  ],
  'j-helper-syntax.ts': [
    'import { nothing } from "./lib/syntax.js"\nexport default nothing\n',
    "j-helper-syntax.ts: modules/lib/syntax.js:2:18: Unexpected token ')'",
  ],
  'k-helper-throws.ts': [
    'import { fail } from "./lib/fail.ts"\nfail()\nexport default () => {}\n',
    'k-helper-throws.ts: modules/lib/fail.ts:1:42: failed',
  ],
  'l-no-extension.ts': ['import "./lib/style.css"\n', 'l-no-extension.ts:1:8: Unknown file extension ".css"'],
  'm-text.ts': ['throw "no error object"\n', 'm-text.ts: no error object'],
  'n-package-throws.ts': [
    'import connect from "client"\nconst client = connect()\nexport default () => client\n',
    'n-package-throws.ts:2:16: cannot connect',
  ],
}

const HELPERS = {
  'package.json': '{ "type": "module" }',
  'lib/effect.js':
    'import { writeFileSync } from "node:fs"\nwriteFileSync("effect", "")\nexport const sideEffect = 1\n',
  'lib/two.ts': 'export const two: number = 2\n',
  'lib/imports-nothing.ts': '// The second line.\nimport nothing from "no-such-package"\nexport { nothing }\n',
  'lib/syntax.js': 'import "./effect.js"\nexport const a = )\n',
  'lib/fail.ts': 'export const fail = (): never => { throw new Error("failed") }\n',
  'lib/style.css': '',
  'node_modules/client/package.json': '{ "type": "module", "exports": "./index.js" }',
  'node_modules/client/index.js': 'export default () => { throw new Error("cannot connect") }\n',
}

describe.each([
  { kind: 'handler', variable: 'HANDLERS_DIR' },
  { kind: 'provider', variable: 'PROVIDERS_DIR' },
])('the check command', ({ kind, variable }) => {
  test(`names file, line and column for what is wrong in each ${kind} module, and runs nothing to find them`, async () => {
    const directory = temporaryDirectory()
    const modules = Object.fromEntries(Object.entries(FAULTY).map(([name, [text]]) => [name, text]))
    write(join(directory, 'modules'), { ...modules, ...HELPERS })
    const { code, faults } = await check(directory, { [variable]: 'modules' })
    const expected = Object.values(FAULTY).map(([, fault]) => `${kind} module modules/${fault}`)
    expect(faults.map((fault, at) => fault.slice(0, expected[at]?.length))).toEqual(expected)
    expect(code).toBe(78)
    expect(existsSync(join(directory, 'effect'))).toBe(false)
  })

  test(`names a ${kind} module outside the working directory by its path, and by the name of a link to it`, async () => {
    const [directory, elsewhere] = [temporaryDirectory(), temporaryDirectory()]
    write(elsewhere, { 'versions/1.ts': 'throw new Error("at the top")' })
    symlinkSync(join(elsewhere, 'versions/1.ts'), join(elsewhere, 'linked.ts'))
    const { faults } = await check(directory, { [variable]: elsewhere })
    expect(faults).toEqual([`${kind} module ${elsewhere}/linked.ts:1:7: at the top`])
  })
})

test('the check command runs a module once in each handler process, even if it looks for the place of a syntax error in another process', async () => {
  const directory = temporaryDirectory()
  write(join(directory, 'handlers'), {
    'own.mjs': 'import "./lib/count.mjs"\nawait import("./lib/syntax.mjs")\nexport default () => {}\n',
    'lib/count.mjs': 'import { appendFileSync } from "node:fs"\nappendFileSync("runs", "once")\n',
    'lib/syntax.mjs': 'export const a = )\n',
  })
  const { faults } = await check(directory, { HANDLERS_DIR: 'handlers', HANDLER_PROCESSES: '1' })
  expect(faults).toEqual(["handler module handlers/own.mjs: Unexpected token ')'"])
  expect(readFileSync(join(directory, 'runs'), 'utf8')).toBe('once')
})

test('the check command names the line of each wrong call of the router, also of a call by a helper', async () => {
  const directory = temporaryDirectory()
  write(join(directory, 'handlers'), {
    'a.ts': `import { more } from './lib/more.ts'
export default (router: any): void => {
  router.on('a.b', { name: 'half', concurrency: 0.5 }, () => {})
    router.register([], () => {})
  more(router)
  router.on('a.b', () => {}, () => {})
}`,
    'b.ts': `export default async (router: any): Promise<void> => {
  await undefined
  router.on('x', { name: 'shared' }, () => {})
}`,
    'c.ts': 'export const a = 1\n\nexport default a\n',
    'lib/more.ts': `export const more = (router: any): void => {
  router.on('x', { name: 'shared' }, () => {})
  router.on('x', { name: 3 }, () => {})
}`,
  })
  const { faults } = await check(directory, { HANDLERS_DIR: 'handlers' })
  expect(faults).toEqual([
    'handler module handlers/a.ts:3:10: handler half: concurrency is 0.5, not a whole number above 0',
    'handler module handlers/a.ts:4:12: a handler needs an event type, or a list of them',
    "handler module handlers/a.ts: handlers/lib/more.ts:3:10: a handler's name has 1 to 256 characters",
    'handler module handlers/a.ts:6:10: on takes the handler last',
    'handler module handlers/b.ts:3:10: the name shared is taken by handlers/lib/more.ts:2:10; give one of the two handlers another name',
    'handler module handlers/c.ts:3:1: it does not default-export a function',
  ])
})

test('the fault of an import that only TypeScript accepts says what Node needs', async () => {
  const directory = temporaryDirectory()
  write(join(directory, 'handlers'), {
    'a.ts': "import { rates } from './_rates.js'\nexport default () => rates\n",
    'b.ts': "import { rates } from './_rates'\nexport default () => rates\n",
    'c.ts': "import { rates } from './lib'\nexport default () => rates\n",
    'd.ts': "import { Router } from 'holdfast'\nexport default (router: Router) => router\n",
    'e.ts': "import { rates } from './_none.js'\nexport default () => rates\n",
    '_rates.ts': 'export const rates = 1\n',
    'lib/index.ts': 'export const rates = 1\n',
  })
  const { faults } = await check(directory, { HANDLERS_DIR: 'handlers' })
  const missing = (name: string): string => `Cannot find module '${join(directory, 'handlers', name)}'`
  expect(faults.slice(0, 2)).toEqual([
    `handler module handlers/a.ts:1:23: ${missing('_rates.js')}: the file is _rates.ts, and Node needs its exact name`,
    `handler module handlers/b.ts:1:23: ${missing('_rates')}: the file is _rates.ts, and Node needs its exact name`,
  ])
  expect(faults[2]).toMatch(/^handler module handlers\/c\.ts:1:23: .*lib/)
  expect(faults.slice(3)).toEqual([
    "handler module handlers/d.ts:1:10: The requested module 'holdfast' does not provide an export named 'Router': a type needs import type",
    `handler module handlers/e.ts:1:23: ${missing('_none.js')}`,
  ])
})

test('an error that nothing catches while a module loads is a fault of that module', async () => {
  const directory = temporaryDirectory()
  write(directory, {
    'handlers/a.ts': "void Promise.reject(new Error('no connection'))\nexport default () => {}\n",
    'handlers/b.ts': "export default () => {\n  process.nextTick(() => { throw new Error('no settings') })\n}\n",
    'handlers/c.ts': "queueMicrotask(() => { throw new Error('no address') })\nawait new Promise(() => {})\n",
    'handlers/d.ts': 'export default () => {}\n',
    'providers/e.ts': "void Promise.reject(new Error('no keys'))\nexport default {}\n",
  })
  const { faults } = await check(directory, { PROVIDERS_DIR: 'providers', HANDLERS_DIR: 'handlers' })
  expect(faults).toEqual([
    'provider module providers/e.ts:1:21: no keys',
    'handler module handlers/a.ts:1:21: no connection',
    'handler module handlers/b.ts:2:34: no settings',
    'handler module handlers/c.ts:1:30: no address',
  ])
})

test('no fault of a module has a configured secret', async () => {
  const directory = temporaryDirectory()
  write(directory, {
    'handlers/a.ts': 'throw new Error(`the token ${process.env.OPS_TOKEN} is wrong`)\n',
    'providers/b.ts': 'throw new Error(`the token ${process.env.OPS_TOKEN} is wrong`)\n',
  })
  const { faults } = await check(directory, {
    OPS_TOKEN: 'Zk4Qe8vT1mWx7RbN',
    PROVIDERS_DIR: 'providers',
    HANDLERS_DIR: 'handlers',
  })
  expect(faults).toEqual([
    'provider module providers/b.ts:1:7: the token [redacted] is wrong',
    'handler module handlers/a.ts:1:7: the token [redacted] is wrong',
  ])
})

test('the check command names the line of the default export for each wrong member of a provider', async () => {
  const directory = temporaryDirectory()
  write(join(directory, 'providers'), {
    'acme.ts': `// export default is below
const verify = { scheme: 'shared-secret', from: { header: 'x-token' } }

export default { name: 'acme', verify, event: { type: 'body:type' }, ends: 7, samples: 8 }
`,
    'none.ts': 'export const acme = 1\n',
  })
  const { faults } = await check(directory, { PROVIDERS_DIR: 'providers' })
  expect(faults).toEqual([
    'provider module providers/acme.ts:4:1: /ends must be a function',
    'provider module providers/acme.ts:4:1: /samples must be a function',
    'provider module providers/none.ts: it has no default export',
  ])
})

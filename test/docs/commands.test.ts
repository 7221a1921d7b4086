import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { type Clone, type CommandResult, documentFiles, hasCommands, startClone } from './clone.ts'
import { pageNamed, pages } from './pages.ts'

const MIGRATION = 'docs/postgresql-and-replicas.md'

let clone: Clone
/** An event with a dead delivery: `$uid` of the pages on operating. */
let deadUid = ''

const sent = { code: 0, err: '' }

const api = async (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(`${clone.opsUrl}${path}`, { headers })

beforeAll(async () => {
  clone = await startClone()
  // As the pages do it: the handler `billing` of docs/handlers.md finds no billing system.
  const { out } = await shell('npx holdfast send stripe invoice.paid')
  deadUid = out.trim()
  await eventually(
    async () => (await (await api(`/v1/deliveries?event_uid=${deadUid}&state=dead`)).json()) as { items: object[] },
    ({ items }) => items.length === 1,
  )
})
afterAll(() => clone?.close())

/** Runs commands as the blocks of a page are run. */
function shell(commands: string): Promise<CommandResult> {
  const block = { page: 'shell', line: 1, language: 'sh', text: commands, notRun: undefined, file: undefined }
  return clone.runPage({ ...pageNamed('README.md'), name: 'shell.md', text: commands, blocks: [block] })
}

const withCommands = pages.filter((page) => hasCommands(page) && page.name !== MIGRATION).map(({ name }) => name)

test('most pages of the documentation have commands that the tests run', () => {
  expect(withCommands.length).toBeGreaterThan(7)
})

/** The id of a cause: `$cause` of the pages on operating. Causes are counted once a second at most. */
async function aCause(): Promise<string> {
  const { items } = await eventually(
    async () => (await (await api('/v1/dead')).json()) as { items: { cause: string }[] },
    ({ items: causes }) => causes.length > 0,
  )
  return items[0]?.cause ?? expect.unreachable()
}

test.each(withCommands)('the commands in %s run one after the other', async (name) => {
  const { code, err } = await clone.runPage(pageNamed(name), { uid: deadUid, cause: await aCause() })
  expect(code, err).toBe(0)
})

test('a documented command that is wrong, or has a wrong option or URL, is reported with its line', async () => {
  expect(await shell('npx holdfast events list\nnpx holdfast evens list\n')).toMatchObject({
    code: 2,
    err: expect.stringContaining('shell.md:2: exit code 2 of: npx holdfast evens list'),
  })
  expect(await shell('npx holdfast events list --colour red')).toMatchObject({ code: 2 })
  expect((await shell('curl http://127.0.0.1:8081/v1/event')).err).toContain('shell.md:1: exit code 22 of: ')
})

test('the first handler of the documentation logs 650 tokens', async () => {
  const { out, ...rest } = await shell('npx holdfast send ai completion.finished')
  expect(rest).toEqual(sent)
  const lines = await eventually(
    async () => clone.lines.filter(({ msg, uid }) => msg === 'hello' && uid === out.trim()),
    ({ length }) => length > 0,
  )
  expect(lines).toMatchObject([{ tokens: 650, handler: 'hello:completion.finished' }])
})

describe('the modules in the documents', () => {
  test('are handlers and providers whose types are right', { timeout: 60_000 }, async () => {
    expect([...documentFiles().keys()]).toEqual(expect.arrayContaining(['src/handlers/hello.ts', 'providers/acme.ts']))
    expect(await clone.run('tsc', ['--noEmit', '-p', '.'])).toEqual({ code: 0, out: '', err: '' })
  })

  test('are all loaded by the service', async () => {
    const { items } = (await (await api('/v1/handlers')).json()) as { items: { name: string }[] }
    expect(items.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['hello:completion.finished', 'shaky', 'billing', 'customers', 'examples:acme.thing']),
    )
  })
})

describe('the tests in docs/handlers.md', () => {
  test('pass with vitest', async () => {
    const { code, out } = await clone.run('vitest', ['run', 'test/billing.test.ts'], { NO_COLOR: '1' })
    expect(out).toMatch(/Tests +2 passed \(2\)/)
    expect(code).toBe(0)
  })

  test('pass with node --test, on an event that the page exports', async () => {
    expect(await clone.runPage(pageNamed('docs/handlers.md'))).toMatchObject({ code: 0, err: '' })
    const { code, out } = await clone.run(process.execPath, ['--test', '--test-reporter=tap', 'test/examples.test.ts'])
    expect(out).toMatch(/^# pass 1$/m)
    expect(code).toBe(0)
  })
})

describe('docs/ops-api-and-metrics.md', () => {
  const page = pageNamed('docs/ops-api-and-metrics.md')

  test('has every route of the ops API, and no other', async () => {
    const { paths } = (await (await api('/openapi.json')).json()) as { paths: Record<string, object> }
    const served = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== 'head')
        .map((method) => `${method.toUpperCase()} ${path}`),
    )
    const named = page.spans.map(({ text }) => text).filter((text) => /^(?:GET|POST|PATCH|DELETE) \//.test(text))
    expect([...new Set(named)].toSorted()).toEqual(served.toSorted())
  })

  test('has every metric of the service', async () => {
    const served = [...(await (await api('/metrics')).text()).matchAll(/^# TYPE (holdfast_\w+) /gm)].map(
      ([, name = '']) => name,
    )
    const named = page.spans.flatMap(({ text }) => /^(?<name>holdfast_\w+)/.exec(text)?.groups?.name ?? [])
    expect([...new Set(named)].toSorted()).toEqual([...new Set(served)].toSorted())
  })

  test('knows every metric that another page names', () => {
    const known = new Set(page.spans.flatMap(({ text }) => text.match(/holdfast_\w+/g) ?? []))
    const others = pages
      .filter(({ name }) => name.startsWith('docs/'))
      .flatMap(({ text }) => text.match(/holdfast_[a-z]\w+/g) ?? [])
    expect(others.filter((name) => !known.has(name))).toEqual([])
  })

  test('names the fields of the summary that the service gives', async () => {
    const summary = (await (await api('/metrics', { accept: 'application/json' })).json()) as object
    for (const field of Object.keys(summary)) expect(page.text).toContain(field)
  })
})

test(`the commands in ${MIGRATION} move what the service has stored`, async () => {
  await clone.stopService()
  const files = { 'secrets/database-url': ownSchema(), 'data/ai.secret': AI_SECRET }
  mkdirSync(join(clone.directory, 'data'), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(clone.directory, name), text)
  const { code, out, err } = await clone.runPage(pageNamed(MIGRATION), { SOURCE_AI_SECRET: '' })
  expect(code, err).toBe(0)
  expect(out).toMatch(/^event +\d+ +[0-9a-f]{64} +yes$/m)
})

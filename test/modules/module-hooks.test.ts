import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { run, write } from '../support/package.ts'
import { mainFile, startProgram, temporaryDirectory } from '../support/service.ts'

const HANDLER = `
import { type Router, Type } from 'holdfast'
import { types } from './_types.ts'
export default (router: Router) => router.on(types, Type.Object({ size: Type.Number() }), async () => {})
`
const OLD_HANDLER = `
const { Type } = require('holdfast')
module.exports = (router) => router.on('old.thing', Type.Object({}), async () => {})
`
const PROVIDER = `
import { defineProvider } from 'holdfast'
export default defineProvider({
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
  event: ({ body }) => ({ id: body.id, type: body.type, data: body.data }),
})
`

/** Another `holdfast`, which must not be loaded. */
const STRANGER = 'throw new Error("this is another holdfast")'

const holdfast = (...args: readonly string[]) => [process.execPath, mainFile, ...args]

const settings = {
  SOURCES: 'acme',
  SOURCE_ACME_SECRET: AI_SECRET,
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
}

test.each<
  [title: string, manifest: { readonly type?: string; readonly name?: string; readonly exports?: string } | undefined]
>([
  ['without a package.json', undefined],
  ['with a package.json of CommonJS', { type: 'commonjs' }],
  ['with a package.json without a type', {}],
  [
    'with a package.json that is called holdfast itself',
    { name: 'holdfast', type: 'module', exports: './stranger.js' },
  ],
])('handlers and providers in a folder %s import the Holdfast that runs', async (_title, manifest) => {
  const directory = temporaryDirectory()
  write(directory, {
    'handlers/things.ts': HANDLER,
    'handlers/_types.ts': "export const types = ['acme.thing']",
    ...(manifest?.type !== 'module' && { 'handlers/old.js': OLD_HANDLER }),
    'providers/acme.ts': PROVIDER,
    'stranger.js': STRANGER,
    'node_modules/holdfast/index.js': STRANGER,
    ...(manifest !== undefined && { 'package.json': JSON.stringify(manifest) }),
  })
  const handlers = manifest?.type === 'module' ? 1 : 2
  expect(await run(holdfast('check'), directory, settings)).toEqual({
    code: 0,
    out: `ok: 1 source(s), ${handlers} handler(s)\n`,
    err: '',
  })
})

test('a CommonJS handler stays one if import and export stand in its comments and texts only', async () => {
  const directory = temporaryDirectory()
  const old = `
/*
import { Type } from 'holdfast'
*/
const text = \`
export default 'it\\\`s "a text"'
\` // it's "not closed
const { Type } = require('holdfast')
module.exports = (router) => router.on('old.thing', Type.Object({}), async () => text)
`
  write(directory, { 'handlers/old.js': old, 'package.json': '{ "type": "commonjs" }' })
  expect(await run(holdfast('check'), directory, {})).toEqual({
    code: 0,
    out: 'ok: 1 source(s), 1 handler(s)\n',
    err: '',
  })
})

test('the thread that reads the events of a provider, and holdfast send, import the Holdfast that runs', async () => {
  const directory = temporaryDirectory()
  write(directory, {
    'handlers/things.ts': HANDLER,
    'handlers/_types.ts': "export const types = ['acme.thing']",
    'providers/acme.ts': PROVIDER,
    'data.json': '{ "size": 3 }',
    'node_modules/holdfast/index.js': STRANGER,
  })
  const service = await startProgram(holdfast('serve'), directory, settings)
  const ports = { PORT: new URL(service.publicUrl).port }
  const sent = await run(holdfast('send', 'acme', 'acme.thing', '--data', 'data.json'), directory, {
    ...settings,
    ...ports,
  })
  expect(sent).toMatchObject({ code: 0, err: '' })
  expect(await service.api(`/v1/events/${sent.out.trim()}`)).toMatchObject({ type: 'acme.thing', status: 'accepted' })
})

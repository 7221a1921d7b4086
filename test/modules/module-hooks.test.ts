import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { checkWithin } from '../support/check-command.ts'
import { run, write } from '../support/package.ts'
import { mainFile, startProgram, temporaryDirectory } from '../support/service.ts'

const HANDLER = `
import { type Router, Type } from 'holdfast'
import { types } from './_types.ts'
export default (router: Router) => router.on(types, Type.Object({ size: Type.Number() }), async () => {})
`
/** CommonJS, with import and export in its comments and texts only. */
const OLD_HANDLER = `
/*
import { Type } from 'holdfast'
*/
const text = \`
export default 'it\\\`s "a text"'
\` // it's "not closed
const { Type } = require('holdfast')
module.exports = (router) => router.on('old.thing', Type.Object({}), async () => text)
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

const FILES = {
  'handlers/things.ts': HANDLER,
  'handlers/_types.ts': "export const types = ['acme.thing']",
  'providers/acme.ts': PROVIDER,
  'node_modules/holdfast/index.js': STRANGER,
}

const holdfast = (...args: readonly string[]) => [process.execPath, mainFile, ...args]

const settings = {
  SOURCES: 'acme',
  SOURCE_ACME_SECRET: AI_SECRET,
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
  HANDLER_PROCESSES: '1',
}

test.each([
  [
    'of CommonJS, or without a type,',
    { 'package.json': '{ "type": "commonjs" }', 'providers/package.json': '{}', 'handlers/old.js': OLD_HANDLER },
    ['old:old.thing', 'things:acme.thing'],
  ],
  [
    'that is called holdfast itself',
    { 'package.json': '{ "name": "holdfast", "type": "module", "exports": "./stranger.js" }' },
    ['things:acme.thing'],
  ],
])(
  'handlers and providers in a folder with a package.json %s import the Holdfast that runs',
  async (_, more, names) => {
    const directory = temporaryDirectory()
    write(directory, { ...FILES, 'stranger.js': STRANGER, ...more })
    const folders = { HANDLERS_DIR: join(directory, 'handlers'), PROVIDERS_DIR: join(directory, 'providers') }
    const { faults, sources, handlers } = await checkWithin({ ...settings, ...folders })
    expect(faults).toEqual([])
    expect([...sources.keys()]).toEqual(['acme'])
    expect(handlers.map(({ name }) => name).toSorted()).toEqual(names)
  },
)

test('without a package.json handlers, also those of CommonJS, the thread that reads the events of a provider, and holdfast send import the Holdfast that runs', async () => {
  const directory = temporaryDirectory()
  write(directory, { ...FILES, 'handlers/old.js': OLD_HANDLER, 'data.json': '{ "size": 3 }' })
  const service = await startProgram(holdfast('serve'), directory, settings)
  const ports = { PORT: new URL(service.publicUrl).port }
  const sent = await run(holdfast('send', 'acme', 'acme.thing', '--data', 'data.json'), directory, {
    ...settings,
    ...ports,
  })
  expect(sent).toMatchObject({ code: 0, err: '' })
  expect(await service.api(`/v1/events/${sent.out.trim()}`)).toMatchObject({ type: 'acme.thing', status: 'accepted' })
  const { items } = await service.api('/v1/handlers')
  expect(items.map(({ name }: { name: string }) => name).toSorted()).toEqual(['old:old.thing', 'things:acme.thing'])
})

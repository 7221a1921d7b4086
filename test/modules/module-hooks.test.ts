import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { mainFile, temporaryDirectory } from '../support/service.ts'

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
  event: { type: 'body:kind' },
})
`

/** Another `holdfast`, which must not be loaded. */
const STRANGER = 'throw new Error("this is another holdfast")'

function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
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
  const environment = {
    SOURCES: 'acme',
    SOURCE_ACME_SECRET: AI_SECRET,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
  }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [mainFile, 'check'], {
    cwd: directory,
    env: environment,
  })
  const handlers = manifest?.type === 'module' ? 1 : 2
  expect({ stdout, stderr }).toEqual({ stdout: `ok: 1 source(s), ${handlers} handler(s)\n`, stderr: '' })
})

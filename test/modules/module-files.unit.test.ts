import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { listModules } from '../../src/modules/module-files.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-modules-'))
afterAll(() => rmSync(directory, { recursive: true }))

test('the modules of a folder are its TypeScript and JavaScript files, without tests, declarations, helpers and folders', async () => {
  const modules = ['a.b.ts', 'latest.ts', 'm.mjs', 'm.mts', 'n.js', 'spec.ts', 'test.ts']
  const others = [
    '.hidden.ts',
    '_shared.ts',
    'a.d.ts',
    'b.d.mts',
    'c.cjs',
    'data.json',
    'm.spec.mts',
    'n.test.js',
    'x.tsx',
  ]
  for (const name of [...modules, ...others]) writeFileSync(join(directory, name), '')
  mkdirSync(join(directory, 'folder.ts'))
  expect((await listModules(directory)).map((file) => basename(file))).toEqual(modules)
})

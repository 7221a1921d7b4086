import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { VERSION } from '../../src/domain/version.ts'
import { temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'

const manifestOf = (directory: string) => JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))

const FILES = [
  '.dockerignore',
  '.env.example',
  '.gitignore',
  'Dockerfile',
  'README.md',
  'docker-compose.yml',
  'handlers/completions.test.ts',
  'handlers/completions.ts',
  'package.json',
  'tsconfig.json',
]

test('init makes a project in a new folder, and says what it has made and what to do next', async () => {
  const directory = join(temporaryDirectory(), 'my-hooks')
  const { code, out, err } = await run(['init', directory])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const made = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'handlers')
  expect(made.toSorted()).toEqual(FILES)
  for (const file of [...FILES, `cd ${directory}`, 'npm install', 'npm run dev', 'npm test'])
    expect(out).toContain(file)
  expect(manifestOf(directory)).toMatchObject({ name: 'my-hooks', dependencies: { holdfast: `^${VERSION}` } })
  for (const file of FILES) expect(readFileSync(join(directory, file), 'utf8')).not.toContain('{{')
})

test('init prints a cd command that a shell understands, for any name of a folder', async () => {
  const directory = join(temporaryDirectory(), "it's $(mine) (1)")
  const { out } = await run(['init', directory])
  expect(out).toContain(`  cd '${directory.replace("'", "'\\''")}'\n`)
})

test('init makes a project beside files that do no harm, and leaves them as they are', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, '.git'))
  for (const name of ['.gitignore', 'LICENSE', 'README.md']) writeFileSync(join(directory, name), 'mine')
  const { code, out } = await run(['init', directory])
  expect(code).toBe(0)
  expect(out).toContain('as it was: README.md, .gitignore\n')
  expect(readFileSync(join(directory, '.gitignore'), 'utf8')).toBe('mine')
  expect(manifestOf(directory)).toMatchObject({ private: true })
})

test('init refuses a folder with other files, names some of them, and writes nothing', async () => {
  const directory = temporaryDirectory()
  for (const name of ['a.ts', 'b.ts', 'c.ts', 'd.ts', 'e.ts']) writeFileSync(join(directory, name), '')
  expect(await run(['init', directory])).toMatchObject({
    code: 1,
    out: '',
    err: `holdfast init: ${directory} is not empty: it has a.ts, b.ts, c.ts and 2 more\n`,
  })
  expect(readdirSync(directory)).toHaveLength(5)
})

test('init refuses a file in place of a folder', async () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, '')
  expect(await run(['init', file])).toMatchObject({ code: 1, err: `holdfast init: ${file} is not a folder\n` })
})

test.each([
  ['Meine Hooks!', 'meine-hooks'],
  ['Événements (1)', 'evenements-1'],
  ['holdfast', 'holdfast-handlers'],
  ['._', 'holdfast-handlers'],
])('init gives the project in the folder %s the name %s, which npm accepts', async (folder, name) => {
  const directory = join(temporaryDirectory(), folder)
  await run(['init', directory])
  expect(manifestOf(directory)).toMatchObject({ name })
})

test.each([
  ['1.2.3', () => '1.2.3'],
  ['"quoted\\', () => '"quoted\\'],
  [`${import.meta.dirname}/run.ts`, () => expect.stringMatching(/^file:\.\.\/.*\/test\/cli\/run\.ts$/)],
])('init --holdfast %s makes the project depend on it', async (spec, expected) => {
  const directory = join(temporaryDirectory(), 'hooks')
  expect(await run(['init', directory, '--holdfast', spec])).toMatchObject({ code: 0 })
  expect(manifestOf(directory).dependencies).toEqual({ holdfast: expected() })
})

test('init without a folder shows its usage', async () => {
  const { code, err } = await run(['init'])
  expect(code).toBe(2)
  expect(err).toContain('<dir> is missing\nUsage: holdfast init <dir> [options]')
})

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { environmentReader, readClientEnvironment, readEnvironment } from '../../src/app/environment.ts'

const READ = 'Qx4vB8nM2kLp7TzR5wHd'
const FULL = 'Zc9sY3fW6jGt1VbN8eKq'

function fileOf(...lines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-environment-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, '.env')
  writeFileSync(path, lines.join('\n'))
  return path
}

test('a variable of the environment wins over .env, also where one of them names a file', () => {
  const path = fileOf('OPS_TOKEN_FILE=/run/token', 'PUBLIC_URL=https://a.example', 'PORT=1', 'A=a')
  const own = { OPS_TOKEN: FULL, PUBLIC_URL_FILE: '/run/url', PORT: '2' }
  expect(readEnvironment(own, path)).toEqual({ ...own, A: 'a' })
  // An empty variable counts as not set.
  expect(readEnvironment({ OPS_TOKEN: '' }, path)).toMatchObject({ OPS_TOKEN_FILE: '/run/token' })
})

test('a service that reads its environment again refuses an .env that was there and is gone, and accepts an empty one', () => {
  const path = fileOf('PORT=1')
  const read = environmentReader({ A: 'a' }, path)
  expect(read()).toEqual({ A: 'a', PORT: '1' })
  rmSync(path)
  for (let time = 0; time < 2; time++) expect(read).toThrow('.env is gone: put it back, or an empty one')
  writeFileSync(path, '')
  expect(read()).toEqual({ A: 'a' })
  expect(environmentReader({ A: 'a' }, `${path}.none`)()).toEqual({ A: 'a' })
})

test.each(['OPS_READ_TOKEN', 'OPS_TOKEN'])(
  "a command that is given %s takes the other settings from .env, and none of the service's tokens",
  (name) => {
    const path = fileOf(`OPS_TOKEN=${FULL}`, `OPS_READ_TOKEN=${READ}`, 'OPS_PORT=9555')
    expect(readClientEnvironment({ [name]: READ }, path)).toEqual({ [name]: READ, OPS_PORT: '9555' })
    expect(readClientEnvironment({}, path)).toEqual(readEnvironment({}, path))
  },
)

test('a command needs an .env that it may not read only if it is given no token', () => {
  // A folder cannot be read, by root neither.
  const path = join(fileOf(), '..')
  expect(readClientEnvironment({ OPS_READ_TOKEN: READ }, path)).toEqual({ OPS_READ_TOKEN: READ })
  expect(() => readClientEnvironment({}, path)).toThrow('.env cannot be read')
})

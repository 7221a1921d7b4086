import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { rereadConfig } from '../../src/app/reread.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { temporaryDirectory } from '../support/service.ts'

test.each([
  ['handlers', 'HANDLERS_DIR'],
  ['providers', 'PROVIDERS_DIR'],
])('a reload is refused if the folder %s is gone, unless %s names another', (folder, variable) => {
  const environment = { SOURCE_AI_SECRET: AI_SECRET }
  const project = temporaryDirectory()
  const path = join(project, folder)
  mkdirSync(path)
  const first = readConfig(environment, project)
  const faultsOf = (now: Record<string, string>, inUse = first) => rereadConfig(first, inUse, () => now, project).faults
  expect(faultsOf(environment)).toEqual([])
  rmSync(path, { recursive: true })
  expect(faultsOf(environment)).toEqual([`${path} is gone: put it back, or set ${variable}`])
  expect(faultsOf({ ...environment, [variable]: 'others' })).toEqual([])
  // What is in use counts, not what the service started with.
  expect(faultsOf(environment, readConfig(environment, project))).toEqual([])
})

test('a reload that cannot read the environment is refused, and the files of the configuration in use stay those to watch', () => {
  const first = readConfig({ SOURCE_AI_SECRET: AI_SECRET })
  const inUse = { ...first, files: ['/run/secret'] }
  const unreadable = (): never => {
    throw new Error('.env is gone')
  }
  expect(rereadConfig(first, inUse, unreadable)).toEqual({ ...inUse, faults: ['.env is gone'] })
})

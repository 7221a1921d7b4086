import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { check } from '../support/check-command.ts'
import { write } from '../support/package.ts'
import { temporaryDirectory } from '../support/service.ts'
import { FAULTY, FAULTY_TEXTS, HELPERS } from './faulty-modules.ts'

test('the check command names file, line and column for what is wrong in each provider module, and runs nothing to find them', async () => {
  const directory = temporaryDirectory()
  write(join(directory, 'modules'), { ...FAULTY_TEXTS, ...HELPERS })
  const { code, faults } = await check(directory, { PROVIDERS_DIR: 'modules' })
  const expected = Object.values(FAULTY).map(([, fault]) => `provider module modules/${fault}`)
  expect(faults.map((fault, at) => fault.slice(0, expected[at]?.length))).toEqual(expected)
  expect(code).toBe(78)
  expect(existsSync(join(directory, 'effect'))).toBe(false)
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { check } from '../support/check-command.ts'
import { temporaryDirectory } from '../support/service.ts'

test('the check command warns of a misspelt setting of .env, and succeeds if there is no fault', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, '.env'), 'RETENTION_DAY=7\n')
  const warnings = ['RETENTION_DAY is not a setting: is RETENTION_DAYS meant?']
  expect(await check(directory)).toEqual({ code: 0, ok: true, faults: [], warnings })
})

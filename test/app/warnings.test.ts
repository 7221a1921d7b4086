import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { check } from '../support/check-command.ts'
import { post, signedEvent } from '../support/events.ts'
import { startService, temporaryDirectory } from '../support/service.ts'

const WARNING = 'RETENTION_DAY is not a setting: is RETENTION_DAYS meant?'

test('the check command and the start warn of a misspelt setting of .env, and the source keeps its generated secret beside others', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'data'))
  writeFileSync(
    join(directory, '.env'),
    'RETENTION_DAY=7\nSOURCES=ai,stripe\nSOURCE_STRIPE_SECRET=whsec_of_24_bytes_or_more_1\n',
  )
  writeFileSync(join(directory, 'data/ai.secret'), `${AI_SECRET}\n`)
  const environment = { SOURCES: undefined, SOURCE_AI_SECRET: undefined }
  expect(await check(directory, environment)).toEqual({ code: 0, ok: true, faults: [], warnings: [WARNING] })

  const service = await startService(environment as unknown as Record<string, string>, directory)
  await service.logged(({ level, msg }) => level === 40 && msg === WARNING)
  expect((await post(service.publicUrl, signedEvent('completion.started', { completion_id: 'c1' }))).status).toBe(200)
})

test('the check command warns of a misspelt setting also where another setting is at fault', async () => {
  const { code, faults, warnings } = await check(temporaryDirectory(), { PORT: 'eighty', RETENTION_DAY: '7' })
  expect(code).toBe(78)
  expect(faults).toEqual(['PORT is eighty, not a whole number from 0 to 65535'])
  expect(warnings).toEqual([WARNING])
})

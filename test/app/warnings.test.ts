import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { check } from '../support/check-command.ts'
import { post, signedEvent } from '../support/events.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

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

test('the check command warns of types that are one letter off a known one, and of no others', async () => {
  const directory = temporaryDirectory()
  const types = [
    'completion.finishd',
    'completoin.failed',
    'respons.completed',
    'acme.thing.done',
    'acme.thing.dome',
    'parcel.lsot',
    'completion.finished',
    'completion.finishd*',
    'completion.done',
    'invoice.paid',
  ]
  const handlers = handlersIn(directory, {
    'own.js': `export default (router) => {
      for (const type of ${JSON.stringify(types)}) router.on(type, () => {})
      router.on(['job.failed', 'job.faild'], { name: 'two' }, () => {})
      router.on('parcel.lost', { type: 'object' }, () => {})
    }`,
  })
  writeFileSync(
    join(directory, 'acme.js'),
    `export default { name: 'acme', verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
      event: { type: 'body:type' }, schemas: { 'acme.thing.done': { type: 'object' } } }`,
  )
  const { code, warnings } = await check(directory, { HANDLERS_DIR: handlers, PROVIDERS_DIR: directory })
  expect(warnings).toEqual([
    'handler own:completion.finishd: type completion.finishd is not known; did you mean completion.finished?',
    'handler own:completoin.failed: type completoin.failed is not known; did you mean completion.failed?',
    'handler own:respons.completed: type respons.completed is not known; did you mean response.completed?',
    'handler own:acme.thing.dome: type acme.thing.dome is not known; did you mean acme.thing.done?',
    'handler own:parcel.lsot: type parcel.lsot is not known; did you mean parcel.lost?',
    'handler two: type job.faild is not known; did you mean job.failed?',
  ])
  expect(code).toBe(0)
})

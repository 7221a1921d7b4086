import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkWithin } from '../support/check-command.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

test('the check command warns of a misspelt setting also where another setting is at fault, of a source that is not configured, of types that are one letter off a known one, and of no others', async () => {
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
      router.on({ source: 'strype', type: 'invoice.paid' }, { name: 'billing' }, () => {})
    }`,
  })
  writeFileSync(
    join(directory, 'acme.js'),
    `export default { name: 'acme', verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
      event: { type: 'body:type' }, schemas: { 'acme.thing.done': { type: 'object' } } }`,
  )
  const { faults, warnings } = await checkWithin({
    HANDLERS_DIR: handlers,
    PROVIDERS_DIR: directory,
    PORT: 'eighty',
    RETENTION_DAY: '7',
  })
  expect(faults).toEqual(['PORT is eighty, not a whole number from 0 to 65535'])
  expect(warnings).toEqual([
    'RETENTION_DAY is not a setting: is RETENTION_DAYS meant?',
    'handler billing waits for source strype, which is not configured',
    'handler own:completion.finishd: type completion.finishd is not known; did you mean completion.finished?',
    'handler own:completoin.failed: type completoin.failed is not known; did you mean completion.failed?',
    'handler own:respons.completed: type respons.completed is not known; did you mean response.completed?',
    'handler own:acme.thing.dome: type acme.thing.dome is not known; did you mean acme.thing.done?',
    'handler own:parcel.lsot: type parcel.lsot is not known; did you mean parcel.lost?',
    'handler two: type job.faild is not known; did you mean job.failed?',
  ])
})

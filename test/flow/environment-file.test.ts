import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { handlersIn, mainFile, startService, temporaryDirectory } from '../support/service.ts'

const PROVIDER = `
const { ACME_HEADER: header } = process.env
if (header === undefined) throw new Error('ACME_HEADER is not set')
export default {
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header } },
  event: ({ body }) => ({ type: body.type, data: { threadSees: process.env.ACME_HEADER } }),
  samples: ({ type }) => ({ body: { type } }),
}`

const HANDLER = `
const { GREETING: atLoad } = process.env
export default (router) =>
  router.on('acme.thing', (event, { log }) => log.info({ atLoad, shared: process.env.SHARED, data: event.data }, 'seen'))`

test('variables of .env, also of a file with a byte order mark, reach handlers, provider modules and the send command; the environment goes before them, Holdfast warns of a misspelt one, and a generated secret stays in use beside other sources', async () => {
  const directory = temporaryDirectory()
  writeFileSync(
    join(directory, '.env'),
    '\ufeffACME_HEADER=x-acme\nGREETING="from the file"\nSHARED=file\nSOURCES=ai,acme\nRETENTION_DAY=7\n',
  )
  writeFileSync(join(directory, 'acme.js'), PROVIDER)
  mkdirSync(join(directory, 'data'))
  writeFileSync(join(directory, 'data/ai.secret'), `${AI_SECRET}\n`)
  const environment = {
    HANDLER_PROCESSES: '1',
    SOURCE_ACME_SECRET: 'a-shared-secret-of-24-bytes',
    PROVIDERS_DIR: directory,
    HANDLERS_DIR: handlersIn(directory, { 'own.js': HANDLER }),
    SHARED: 'environment',
  }
  const unset = { SOURCES: undefined, SOURCE_AI_SECRET: undefined } as unknown as Record<string, string>
  const service = await startService({ ...environment, ...unset }, directory)
  const warning = 'RETENTION_DAY is not a setting: is RETENTION_DAYS meant?'
  await service.logged(({ level, msg }) => level === 40 && msg === warning)
  expect((await post(service.publicUrl, signedEvent('completion.started', { completion_id: 'c1' }))).status).toBe(200)
  const send = [mainFile, 'send', 'acme', 'acme.thing', '--url', service.publicUrl]
  await promisify(execFile)(process.execPath, send, {
    cwd: directory,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...environment },
  })
  expect(await service.logged(({ msg }) => msg === 'seen')).toMatchObject({
    atLoad: 'from the file',
    shared: 'environment',
    data: { threadSees: 'x-acme' },
  })
})

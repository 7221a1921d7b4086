import { expect, test } from 'vitest'
import { startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'

const handlerNamed = (name: string): string =>
  handlersIn(temporaryDirectory(), {
    'it.js': `export default (router) => router.on('acme.thing', { name: '${name}' }, () => {})`,
  })

test('handlers list shows a handler that no running process has as missing, as status does', async () => {
  const settings = { DATABASE_URL: ownSchema(), LOG_LEVEL: 'silent' }
  await (await startLocal({ ...settings, HANDLERS_DIR: handlerNamed('before') })).stop()
  const { environment } = await startLocal({ ...settings, HANDLERS_DIR: handlerNamed('now') })
  const listed = await run(['handlers', 'list'], environment)
  expect(listed.out).toMatch(/^before +missing /m)
  expect(listed.out).toMatch(/^now +active /m)
  expect((await run(['status'], environment)).out).toMatch(/^critical +before: no running worker has this handler/m)
})

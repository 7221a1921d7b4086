import { queryObjects } from 'node:v8'
import { expect, test } from 'vitest'
import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { HandlerPool } from '../../src/dispatch/pool/pool.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'
import { startProject, writes } from './reload-project.ts'

test('reloads leave no old generation in memory', async () => {
  const HANDLERS_DIR = handlersIn(temporaryDirectory(), { 'it.js': 'export default (r) => r.on("*", () => {})' })
  const service = await startLocal({ HANDLERS_DIR })
  const inMemory = (): number => Number(queryObjects(Dispatcher)) + Number(queryObjects(HandlerPool))
  const before = inMemory()
  for (let nth = 0; nth < 6; nth++) expect(await service.reload()).toMatchObject({ ok: true })
  await eventually(
    async () => inMemory(),
    (count) => count <= before,
    60_000,
  )
})

test('a reload aborts handlers from five reloads ago, whose deliveries run again and do not count that attempt', async () => {
  const waits = (version: number) => `export default (r) => r.on('acme.thing', { name: 'it' }, async (event) => {
    write('${version} ' + event.uid); await until('go') })`
  const service = await startProject(temporaryDirectory(), waits(0))
  const { uid } = await service.send()
  await service.written(1)
  for (let version = 1; version <= 5; version++) {
    service.edit(waits(version))
    expect(await service.reload()).toMatchObject({ ok: true })
    if (version === 5) break
    await service.send()
    await service.written(version + 1)
  }
  expect((await service.written(6)).at(-1)).toBe(`5 ${uid}`)
  service.allow('go')
  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${uid}`),
    ({ deliveries: [delivery] }) => delivery.state === 'succeeded',
  )
  expect(deliveries).toMatchObject([{ attempts: 1 }])
})

test('a reload that is asked for repeatedly runs once more, and the last edit is live', async () => {
  const service = await startProject(temporaryDirectory(), writes('0'))
  const results = ['1', '2', '3'].map((line) => {
    service.edit(writes(line, line))
    return service.reload()
  })
  expect(await Promise.all(results)).toMatchObject([{ ok: true }, { ok: true }, { ok: true }])
  expect(await service.handlers()).toEqual(['3'])
  const late = service.reload()
  service.edit(writes('4', '4'))
  expect(await Promise.all([late, service.reload(), service.reload()])).toMatchObject([{ ok: true }, {}, {}])
  expect(await service.handlers()).toEqual(['4'])
})

test('a replica routes to the handlers that another one has loaded again, and no longer to those that are gone', async () => {
  const DATABASE_URL = ownSchema()
  const reloaded = await startProject(temporaryDirectory(), writes('before', 'old'), { DATABASE_URL, ROLE: 'worker' })
  const ingest = await startLocal({ DATABASE_URL, ROLE: 'ingest' })
  await post(ingest.publicUrl, signedEvent('acme.thing'))
  await reloaded.written(1)
  reloaded.edit(writes('after', 'new'))
  expect(await reloaded.reload()).toMatchObject({
    ok: true,
    changes: { handlers: { added: ['new'], removed: ['old'] } },
  })
  await eventually(
    () => ingest.api('/v1/handlers'),
    ({ items }) => items.map(({ name }: { name: string }) => name).join() === 'new',
  )
  const { uid } = await post(ingest.publicUrl, signedEvent('acme.thing'))
  expect(await reloaded.written(2)).toEqual(['before', 'after'])
  expect((await ingest.api(`/v1/events/${uid}`)).deliveries).toMatchObject([{ handler: 'new' }])
})

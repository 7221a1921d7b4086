import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { startService, temporaryDirectory } from '../support/service.ts'
import { listenTo, startTarget } from './listen-target.ts'

test('listen tells once of a service that goes away, and forwards what the service receives after its return', async () => {
  const directory = temporaryDirectory()
  const before = await startService({}, directory)
  const OPS_PORT = new URL(before.opsUrl).port
  const target = await startTarget()
  const { text, begun, wrote } = listenTo(target.url, { OPS_PORT })
  await begun()
  await before.kill()
  await wrote('waiting for it')
  const after = await startService({ OPS_PORT }, directory)
  const { uid } = await post(after.publicUrl, signedEvent('acme.late'))
  await wrote('→ 200')
  expect(target.got.map(({ headers }) => headers['holdfast-uid'])).toEqual([uid])
  expect(text.err.match(/waiting for it/g)).toHaveLength(1)
  expect(text.err.match(/answers again/g)).toHaveLength(1)
})

test('listen forwards each event once that two replicas receive at once', async () => {
  const DATABASE_URL = ownSchema()
  const replicas = [await startLocal({ DATABASE_URL }), await startLocal({ DATABASE_URL })]
  const target = await startTarget()
  const { begun } = listenTo(target.url, replicas[0]?.environment ?? {})
  await begun()
  const sent = await Promise.all(
    Array.from({ length: 120 }, async (_, nth) => {
      await new Promise((resolve) => setTimeout(resolve, nth * 10))
      return (await post(replicas[nth % 2]?.publicUrl ?? '', signedEvent('acme.thing'))).uid
    }),
  )
  await eventually(
    async () => target.got.length,
    (count) => count >= sent.length,
    30_000,
  )
  expect(target.got.map(({ headers }) => String(headers['holdfast-uid'])).toSorted()).toEqual(sent.toSorted())
})

import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent, pruned } from '../contract/store-samples.ts'
import { damageFirstLeaf } from '../support/postgres/damage.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

const EVENTS = 800

async function damageRepeats(server: PostgresServer): Promise<void> {
  const [row] = await server.query<{ path: string }>(
    "SELECT pg_relation_filepath('holdfast.event_repeat'::regclass) AS path",
  )
  await server.stop()
  damageFirstLeaf(join(server.dataDirectory, row?.path ?? ''))
  await server.start()
}

test('an event whose count of repeats is on a damaged page is a duplicate when it comes again, is shown, and is deleted', async () => {
  const server = await startPostgres()
  onTestFinished(() => server.remove())
  const nowMs = Date.now()
  const events = Array.from({ length: EVENTS }, () =>
    newEvent({ handlers: [], status: 'unhandled', receivedAtMs: nowMs - 900_000_000 }),
  )
  const resend = async (store: OpenStore) => {
    const receipts = await Promise.all(events.map((event) => store.append({ ...event, uid: newUid() })))
    return new Set(receipts.map(({ outcome }) => outcome))
  }
  const before = await openStore(server.url)
  await Promise.all(events.map((event) => before.append(event)))
  expect(await resend(before)).toEqual(new Set(['duplicate']))
  await before.append(newEvent({ receivedAtMs: nowMs }))
  await before.close()
  await damageRepeats(server)

  const store = await openStore(server.url)
  onTestFinished(() => store.close())
  expect(await resend(store)).toEqual(new Set(['duplicate']))
  const shown = []
  for (const { uid } of events) shown.push((await store.event(uid))?.uid)
  expect(shown).toEqual(events.map(({ uid }) => uid))
  let deleted = 0
  for (let step = 0; step < 4; step++) deleted += await pruned(store, nowMs - 800_000_000, EVENTS)
  expect(deleted).toBe(EVENTS)
})

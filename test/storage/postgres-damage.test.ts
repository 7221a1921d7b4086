import { randomBytes } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, codeOf, newEvent } from '../contract/store-samples.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

/** Bodies of this length are stored in parts, four to a page. */
async function zeroFirstPartOfBodies(server: PostgresServer): Promise<void> {
  const [part] = await server.query<{ file: string }>(`
    SELECT pg_relation_filepath(c.reltoastrelid) AS file FROM holdfast.event_body AS b JOIN pg_class AS c ON c.oid = b.tableoid
    LIMIT 1
  `)
  await server.stop()
  const file = openSync(join(server.dataDirectory, part?.file ?? ''), 'r+')
  writeSync(file, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, 0)
  closeSync(file)
  await server.start()
}

const PAGE_BYTES = 8_192

test('a body of which PostgreSQL has lost a part costs only its own delivery, which is dead with the reason; the rest is claimed', async () => {
  const server = await startPostgres()
  onTestFinished(() => server.remove())
  const before = await openStore(server.url)
  const events = Array.from({ length: 9 }, () => newEvent({ receivedAtMs: Date.now(), body: randomBytes(20_000) }))
  for (const event of events) await before.append(event)
  const [lost] = events
  await before.close()
  await zeroFirstPartOfBodies(server)

  const store = await openStore(server.url)
  onTestFinished(() => store.close())
  const { work } = await store.claim(claimRequest())
  expect(work.map(({ event }) => event.uid).toSorted()).toEqual(
    events
      .slice(1)
      .map(({ uid }) => uid)
      .toSorted(),
  )
  expect(await store.deliveries({ state: 'dead' }, { limit: 5 })).toMatchObject({
    items: [{ eventUid: lost?.uid, lastError: expect.stringMatching(/^body cannot be read: .*chunk/) }],
  })
  expect((await store.counts()).deliveries).toMatchObject({ pending: 0, running: 8, dead: 1 })
  expect(await codeOf(store.body(lost?.uid ?? ''))).toBe('body_corrupt')
})

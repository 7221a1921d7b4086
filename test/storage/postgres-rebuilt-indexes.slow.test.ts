import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { Connections } from '../../src/storage/postgres/connections.ts'
import { Damage } from '../../src/storage/postgres/damage.ts'
import { postgresTarget } from '../../src/storage/shared/database-url.ts'
import { newEvent } from '../contract/store-samples.ts'
import { ownSchema } from '../support/postgres/schema.ts'

/** As the server says it. */
const onPage = (block: number): Error => new Error(`index "event_key_pkey" contains corrupted page at block ${block}`)

async function ownStore(): Promise<{ url: string; schema: string }> {
  const url = ownSchema()
  await (await openStore(url)).close()
  return { url, schema: new URL(url).searchParams.get('schema') ?? '' }
}

function watching(url: string, maxTableBytes?: number) {
  const connections = new Connections(postgresTarget(url))
  onTestFinished(() => connections.close())
  const log: string[] = []
  return { connections, log, damage: new Damage(connections, (_, message) => log.push(message), maxTableBytes) }
}

test('all transactions that meet a damaged index, on whatever page, wait until it is rebuilt', async () => {
  const { url, schema } = await ownStore()
  const { damage, log } = watching(url)
  expect(await Promise.all([1, 2, 3].map((block) => damage.found(onPage(block))))).toEqual(Array(3).fill('mended'))
  expect(log).toEqual([expect.stringContaining(`the index ${schema}.event_key_pkey was damaged, and was rebuilt`)])
})

test('a replica does not wait for another one that takes long to rebuild an index', async () => {
  const { url } = await ownStore()
  const [slow, other] = [watching(url), watching(url)]
  const free = Promise.withResolvers<void>()
  const taken = Promise.withResolvers<void>()
  const making = slow.connections.transaction(async (query) => {
    await query("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(10) || 'reindex', 7031))")
    taken.resolve()
    await free.promise
  })
  await taken.promise
  expect(await other.damage.found(onPage(1))).toBe('index')
  expect(other.log).toContainEqual(expect.stringContaining('lock timeout'))
  free.resolve()
  await making
})

test('the store does not try to rebuild an index of a very large table, and says at once how an operator does it', async () => {
  const { url, schema } = await ownStore()
  const store = await openStore(url)
  onTestFinished(() => store.close())
  await store.append(newEvent({ receivedAtMs: Date.now() }))
  const { damage, log } = watching(url, 0)
  expect(await damage.found(onPage(1))).toBe('index')
  expect(log).toEqual([
    `PostgreSQL cannot read block 1 of the index ${schema}.event_key_pkey: run REINDEX INDEX CONCURRENTLY ${schema}.event_key_pkey`,
  ])
})

test('when the server cannot be asked, the store takes damage as unknown, and gives up no delivery for it', async () => {
  const { damage } = watching('postgres://127.0.0.1:1/postgres')
  expect(await damage.found(onPage(1))).toBe('unknown')
  expect(damage.warnings()).toEqual([])
})

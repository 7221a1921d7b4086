import { expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { parseMatch } from '../../src/domain/payload-match.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

const PATH = { source: 'stripe', path: 'customer' }

test('a path is indexed only while every running replica indexes it, and no event is missed', async () => {
  const url = ownSchema()
  const [first, second] = [await openStore(url), await openStore(url)]
  const [one, other] = [newUid(), newUid()]
  const paths = async () => (await first.payloadIndex.indexedPaths()).map(({ path }) => path)
  const found = async () => {
    const { items } = await first.events({ source: 'stripe', match: [parseMatch('customer:c1')] }, { limit: 10 })
    return items.map(({ id }) => id)
  }
  const append = (id: string, store = first, isIndexed = true) =>
    store.append(
      newEvent({
        id,
        body: Buffer.from('{"customer":"c1"}'),
        ...(isIndexed && { indexed: [['customer', 'c1'] as const] }),
      }),
    )

  await first.payloadIndex.keepPaths([PATH])
  await first.replicas?.announce({ uid: one, handlers: [] })
  await append('first')
  expect(await paths()).toEqual(['customer'])

  await second.replicas?.announce({ uid: other, handlers: [] })
  expect(await paths()).toEqual([])
  await append('second', second, false)
  await first.replicas?.announce({ uid: one, handlers: [] })
  expect(await paths()).toEqual([])
  expect(await found()).toEqual(['second', 'first'])

  await second.replicas?.leave(other)
  await first.replicas?.announce({ uid: one, handlers: [] })
  expect(await paths()).toEqual(['customer'])
  await append('third')
  while (await first.payloadIndex.indexStep()) await new Promise(setImmediate)
  expect(await first.payloadIndex.indexedPaths()).toEqual([{ ...PATH, share: 1 }])
  expect(await found()).toEqual(['third', 'second', 'first'])

  // A replica of the release before says nothing of paths.
  await queryIn(
    url,
    `INSERT INTO replica (uid, started_at, seen_at) SELECT '${newUid()}', seen_at, seen_at FROM replica LIMIT 1`,
  )
  expect(await paths()).toEqual([])
  await Promise.all([first.close(), second.close()])
})

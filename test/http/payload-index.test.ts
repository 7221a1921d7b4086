import { expect, test } from 'vitest'
import { shareOps } from './ops-service.ts'
import { source } from './public-service.ts'

const ops = shareOps({ sources: () => [{ ...source('ai'), keys: ['data.customer', 'data.order'] }] })

test('a path of the settings that is not indexed yet is in the answer, and the index is not complete without it', async () => {
  const { get, store } = ops()
  const answer = async (init?: RequestInit) => (await get(`/v1/payload-index${init ? '/continue' : ''}`, init)).json()
  const waiting = { source: 'ai', path: 'data.order', share: 0 }
  expect(await answer()).toEqual({
    items: [{ source: 'ai', path: 'data.customer', share: 0 }, waiting],
    complete: false,
  })
  await store.payloadIndex.keepPaths([{ source: 'ai', path: 'data.customer' }])
  expect(await answer({ method: 'POST' })).toEqual({
    items: [{ source: 'ai', path: 'data.customer', share: 1 }, waiting],
    complete: false,
  })
})

import { expect, test } from 'vitest'
import type { HandlerJson, SourceJson } from '../../src/http/schemas/configuration.ts'
import { detailOf, startOps } from './ops-service.ts'

const asking = (body?: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'x-holdfast-user': 'alice', ...(body !== undefined && { 'content-type': 'application/json' }) },
  ...(body !== undefined && { body: JSON.stringify(body) }),
})

test.each([
  ['handlers', 'log'],
  ['sources', 'ai'],
])(
  'POST /v1/%s/{name}/pause and /resume pause it, show that in the list and in the audit, and know no other name',
  async (kind, name) => {
    const { get, store } = await startOps()
    const listed = async () =>
      ((await (await get(`/v1/${kind}`)).json()) as { items: (HandlerJson | SourceJson)[] }).items.find(
        (item) => item.name === name,
      )?.paused
    expect(await listed()).toBeNull()
    const paused = { since: expect.any(String), by: 'alice', reason: 'the API is down' }
    const answer = await get(`/v1/${kind}/${name}/pause`, asking({ reason: 'the API is down' }))
    expect([answer.status, await answer.json()]).toEqual([200, { name, paused }])
    expect(await listed()).toEqual(paused)
    expect((await (await get(`/v1/${kind}/${name}/pause`, asking())).json()) as object).toEqual({ name, paused })
    for (const count of [1, 0]) {
      expect(await (await get(`/v1/${kind}/${name}/resume`, asking())).json()).toEqual({ name, paused: null })
      const [entry] = (await store.audit.list({}, { limit: 1 })).items
      expect(entry).toMatchObject({ action: `${kind.slice(0, -1)}.resume`, target: name, count, claimedName: 'alice' })
    }
    expect(await listed()).toBeNull()
    for (const verb of ['pause', 'resume'])
      expect(await detailOf(await get(`/v1/${kind}/none/${verb}`, asking()), 404)).toContain('none')
    await detailOf(await get(`/v1/${kind}/${name}/pause`, asking({ reason: '' })), 400)
    await detailOf(await get(`/v1/${kind}/${name}/pause`, asking({ why: 'a' })), 400)
  },
)

test('what was paused and is configured no longer can be resumed', async () => {
  const { get, store } = await startOps()
  await store.pauses.pause({ kind: 'handler', name: 'gone', by: 'bob' })
  expect((await get('/v1/handlers/gone/resume', asking())).status).toBe(200)
  expect(await store.pauses.list()).toEqual([])
  await detailOf(await get('/v1/handlers/gone/resume', asking()), 404)
})

test('POST /v1/drain has the process claim nothing, and claim again', async () => {
  const { get } = await startOps()
  for (const [body, draining] of [
    [undefined, true],
    [{ on: true }, true],
    [{ on: false }, false],
  ] as const)
    expect(await (await get('/v1/drain', asking(body))).json()).toEqual({ draining })
  await detailOf(await get('/v1/drain', asking({ on: 'no' })), 400)
})

import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../src/domain/errors.ts'
import { newUid } from '../../src/domain/names.ts'
import { detailOf, event, shareOps, startOps } from './ops-service.ts'

describe('POST /v1/events/:uid/replay', () => {
  const ops = shareOps()

  const post = (body?: string, contentType = 'application/json'): RequestInit =>
    body === undefined ? { method: 'POST' } : { method: 'POST', body, headers: { 'content-type': contentType } }

  test.each([
    ['no body', post(), ['log']],
    ['an empty JSON body', post(''), ['log']],
    ['{}', post('{}'), ['log']],
    ['one handler', post('{"handler":"other"}'), ['other']],
  ])('with %s answers 202 and names the handlers that will run', async (_what, init, handlers) => {
    const { get, store } = await startOps()
    const { uid } = await store.append(event({ handlers: [] }))
    const answer = await get(`/v1/events/${uid}/replay`, init)
    expect(answer.status).toBe(202)
    expect(await answer.json()).toEqual({ uid, status: 'accepted', reasons: [], handlers })
    const { items } = await store.deliveries({ eventUid: uid }, { limit: 10 })
    expect(items.map(({ handler }) => handler)).toEqual(handlers)
  })

  test('answers 200 where no handler takes the event', async () => {
    const { get } = await startOps({ replay: async () => ({ status: 'unhandled', reasons: [], handlers: [] }) })
    const uid = newUid()
    const answer = await get(`/v1/events/${uid}/replay`, post())
    expect([answer.status, await answer.json()]).toEqual([200, { uid, status: 'unhandled', reasons: [], handlers: [] }])
  })

  test.each([
    ['handler_not_found', 404],
    ['event_not_found', 404],
    ['conflict', 409],
    ['body_corrupt', 500],
    ['unavailable', 503],
  ] as const)('answers %s of the store with %i', async (code, status) => {
    const { get } = await startOps({
      replay: async () => {
        throw new HoldfastError(code, 'the reason')
      },
    })
    expect(await detailOf(await get(`/v1/events/${newUid()}/replay`, post()), status)).toBe(
      status < 500 ? 'the reason' : 'undefined',
    )
  })

  test.each([
    ['{"handler":7}', 400],
    ['{"handler":""}', 400],
    ['{"handler":"a","force":true}', 400],
    ['{"__proto__":{"handler":"a"}}', 400],
    ['[]', 400],
    ['"a"', 400],
    ['{', 400],
    [`{"handler":"${'a'.repeat(70_000)}"}`, 413],
  ])('refuses the body %s', async (body, status) => {
    const { get } = ops()
    await detailOf(await get(`/v1/events/${newUid()}/replay`, post(body)), status)
  })

  test('refuses a body that is not JSON with 415', async () => {
    const { get } = ops()
    await detailOf(
      await get(`/v1/events/${newUid()}/replay`, post('handler=a', 'application/x-www-form-urlencoded')),
      415,
    )
  })
})

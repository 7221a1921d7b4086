import { describe, expect, test } from 'vitest'
import { post } from '../support/events.ts'
import { GITHUB_SECRET, githubDelivery } from '../support/github-sender.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'

const ISSUE = { action: 'opened', issue: { number: 7 }, repository: {}, sender: {} }

const start = (environment: Record<string, string>): Promise<LocalService> =>
  startLocal({ SOURCES: 'github', SOURCE_GITHUB_SECRET: GITHUB_SECRET, ...environment })
const send = (service: LocalService, event: string, payload: object) =>
  post(service.publicUrl, githubDelivery(event, payload), '/v1/webhooks/github')

describe.each([
  ['the embedded store', (): Record<string, string> => ({})],
  ['PostgreSQL', (): Record<string, string> => ({ DATABASE_URL: ownSchema() })],
])('with %s and DEDUPE=body, a signed body that is sent again', (_, storage) => {
  test('under another delivery id, or as another event type, is a duplicate', async () => {
    const service = await start({ ...storage(), SOURCE_GITHUB_DEDUPE: 'body' })
    const first = await send(service, 'issues', ISSUE)
    expect(first.duplicate).toBe(false)
    expect(await send(service, 'issues', ISSUE)).toMatchObject({ status: 200, duplicate: true, uid: first.uid })
    expect(await send(service, 'pull_request', ISSUE)).toMatchObject({ status: 200, duplicate: true, uid: first.uid })
    expect((await send(service, 'issues', { ...ISSUE, action: 'closed' })).duplicate).toBe(false)
    expect((await service.api('/v1/events')).items).toHaveLength(2)
  })
})

test('without DEDUPE=body, a signed body that is sent again is a new event, and is quarantined where its type does not match its body', async () => {
  const service = await start({})
  const first = await send(service, 'issues', ISSUE)
  const again = await send(service, 'issues', ISSUE)
  expect(again.duplicate).toBe(false)
  expect(again.uid).not.toBe(first.uid)
  const rerouted = await send(service, 'push', ISSUE)
  expect(await service.api(`/v1/events/${rerouted.uid}`)).toMatchObject({
    status: 'quarantined',
    reasons: ['it is sent as push, but its body has no ref, as every push has'],
    deliveries: [],
  })
})

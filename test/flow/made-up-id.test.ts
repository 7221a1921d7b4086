import { expect, test } from 'vitest'
import { post } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { GITHUB_SECRET, githubDelivery } from '../support/github-sender.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

test('two events without an id that differ in a header alone both run, with the id and the time under which they are stored', async () => {
  const handlers = handlersIn(temporaryDirectory(), {
    'seen.js': `export default (router) => router.on('*', ({ id, created_at, created_at_source: source }, { fail }) => {
      fail(JSON.stringify({ id, created_at, source })) })`,
  })
  const service = await startLocal({ SOURCES: 'github', SOURCE_GITHUB_SECRET: GITHUB_SECRET, HANDLERS_DIR: handlers })
  const send = (event: string) => {
    const { headers, ...rest } = githubDelivery(event, { ref: 'main' })
    const { 'x-github-delivery': _, ...without } = headers
    return post(service.publicUrl, { ...rest, headers: without }, '/v1/webhooks/github')
  }
  const first = await send('one_event')
  const second = await send('another_event')
  expect([first, second]).toMatchObject([{ duplicate: false }, { duplicate: false }])
  expect(await send('one_event')).toMatchObject({ duplicate: true, uid: first.uid })

  for (const { uid } of [first, second]) {
    const { id, created_at, received_at, created_at_source } = await service.api(`/v1/events/${uid}`)
    expect([created_at, created_at_source]).toEqual([received_at, 'received'])
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${uid}`),
      (event) => event.deliveries[0].state === 'dead',
    )
    expect(deliveries[0].last_error).toBe(JSON.stringify({ id, created_at, source: 'received' }))
  }
})

import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { startLocal } from '../support/local-service.ts'

const SECRET = 'a-secret-that-github-was-told'

test('an event whose type equals the operators’ token keeps its type', async () => {
  const environment = { SOURCES: 'github', SOURCE_GITHUB_SECRET: SECRET, OPS_TOKEN: 'thing' }
  const service = await startLocal(environment)
  const body = '{"action":"made"}'
  const answer = await fetch(`${service.publicUrl}/v1/webhooks/github`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'thing',
      'x-github-delivery': 'd1',
      'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
    },
    body,
  })
  const { uid } = (await answer.json()) as { uid: string }
  expect(await service.api(`/v1/events/${uid}`)).toMatchObject({
    type: 'thing.made',
    headers: { 'x-github-event': 'thing' },
  })
})

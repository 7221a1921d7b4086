import { createHmac, randomUUID } from 'node:crypto'
import type { SignedEvent } from './events.ts'

export const GITHUB_SECRET = 'a-secret-of-enough-bytes-for-github'

/** A delivery as GitHub makes it. */
export function githubDelivery(event: string, payload: object, id: string = randomUUID()): SignedEvent {
  const body = JSON.stringify(payload)
  return {
    id,
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': event,
      'x-github-delivery': id,
      'x-hub-signature-256': `sha256=${createHmac('sha256', GITHUB_SECRET).update(body).digest('hex')}`,
    },
  }
}

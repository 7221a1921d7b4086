import { randomUUID } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { AI_SECRET } from './ai-source.ts'

export interface SignedEvent {
  readonly id: string
  readonly body: string
  readonly headers: Record<string, string>
}

/** An event of the generic AI API, signed by the official Standard Webhooks package. */
export function signedEvent(type: string, data: Record<string, unknown> = {}, id = `evt_${randomUUID()}`): SignedEvent {
  const body = JSON.stringify({ id, type, created_at: new Date().toISOString(), data })
  return { id, body, headers: signedHeaders(body) }
}

export function signedHeaders(body: string, secret = AI_SECRET, id = `msg_${randomUUID()}`): Record<string, string> {
  const now = new Date()
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, now, body),
  }
}

export interface Acknowledgement {
  readonly status: number
  readonly uid: string
  readonly duplicate: boolean
  readonly ms: number
}

/** Posts one event as its provider would. Rejects when there is no answer. */
export async function post(publicUrl: string, event: SignedEvent, path = '/v1/webhooks/ai'): Promise<Acknowledgement> {
  const startedAt = performance.now()
  const answer = await fetch(`${publicUrl}${path}`, { method: 'POST', body: event.body, headers: event.headers })
  const body = (await answer.json()) as { uid: string; duplicate: boolean }
  return { status: answer.status, uid: body.uid, duplicate: body.duplicate, ms: performance.now() - startedAt }
}

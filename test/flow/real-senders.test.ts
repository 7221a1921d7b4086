import examples from '@octokit/webhooks-examples' with { type: 'json' }
import { sign } from '@octokit/webhooks-methods'
import Stripe from 'stripe'
import { Webhook as Svix } from 'svix'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signedHeaders } from '../support/events.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'

const secrets = {
  ai: 'whsec_aG9sZGZhc3QtdGVzdC1zZWNyZXQtMzItYnl0ZXMh',
  standard: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  openai: 'whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=',
  replicate: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
  anthropic: 'whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=',
  stripe: 'whsec_1234567890abcdefghijklmnopqrstuv',
  github: "It's a Secret to Everybody",
  svix: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
}

let service: LocalService
let end: (() => Promise<void>) | undefined
beforeAll(async () => {
  const environment = {
    SOURCES: Object.keys(secrets).join(','),
    ...Object.fromEntries(
      Object.entries(secrets).map(([name, secret]) => [`SOURCE_${name.toUpperCase()}_SECRET`, secret]),
    ),
  }
  service = await startLocal(environment, {
    onEnd: (stop) => {
      end = stop
    },
  })
})
afterAll(() => end?.())

async function send(source: string, body: string | Buffer, headers: Record<string, string>) {
  const answer = await fetch(`${service.publicUrl}/v1/webhooks/${source}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
  return { status: answer.status, ...((await answer.json()) as { uid: string; duplicate: boolean }) }
}

async function storedBytes(uid: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(`${service.opsUrl}/v1/events/${uid}/body`)).arrayBuffer())
}

type Example = { readonly name: string; readonly examples: readonly Record<string, unknown>[] }
type Signer = (body: string) => Promise<Record<string, string>> | Record<string, string>

/** Each provider's requests, signed by the package that its users are told to use. */
const senders: [source: string, body: string, type: string, signer: Signer][] = [
  [
    'ai',
    '{"id":"evt_1","type":"batch.created","data":{"batch_id":"b_1"}}',
    'batch.created',
    (body) => signedHeaders(body, secrets.ai),
  ],
  [
    'standard',
    '{"type":"user.created","timestamp":"2026-01-01T00:00:00Z","data":{}}',
    'user.created',
    (body) => signedHeaders(body, secrets.standard),
  ],
  [
    'openai',
    '{"id": "evt_685", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}',
    'response.completed',
    (body) => signedHeaders(body, secrets.openai),
  ],
  [
    'replicate',
    '{"id":"p1","status":"succeeded","output":["x"]}',
    'prediction.succeeded',
    (body) => signedHeaders(body, secrets.replicate),
  ],
  [
    'anthropic',
    '{"id":"evt_a","type":"event","created_at":"2026-01-01T00:00:00Z","data":{"type":"session.status_idled","id":"s"}}',
    'session.status_idled',
    (body) => signedHeaders(body, secrets.anthropic),
  ],
  [
    'stripe',
    '{\n  "id": "evt_s",\n  "object": "event",\n  "created": 1750861210,\n  "type": "invoice.paid",\n  "data": { "object": {} }\n}',
    'invoice.paid',
    (payload) => ({
      'stripe-signature': Stripe.webhooks.generateTestHeaderString({ payload, secret: secrets.stripe }),
    }),
  ],
  [
    'github',
    '{"action":"opened","issue":{"number":1}}',
    'issues.opened',
    async (body) => ({
      'x-hub-signature-256': await sign(secrets.github, body),
      'x-github-event': 'issues',
      'x-github-delivery': 'd-1',
    }),
  ],
  [
    'svix',
    '{"type":"message.created","data":{}}',
    'message.created',
    (body) => {
      const now = new Date()
      return {
        'svix-id': 'msg_svix',
        'svix-timestamp': String(Math.floor(now.getTime() / 1000)),
        'svix-signature': new Svix(secrets.svix).sign('msg_svix', now, body),
      }
    },
  ],
]

describe('signed events of real senders', () => {
  test('are accepted and stored byte for byte, and answered with 401 if one character anywhere has changed', async () => {
    for (const [source, body, type, signer] of senders) {
      const headers = await signer(body)
      const { status, uid } = await send(source, body, headers)
      expect({ source, status }).toEqual({ source, status: 200 })
      expect((await storedBytes(uid)).toString()).toBe(body)
      expect(await service.api(`/v1/events/${uid}`)).toMatchObject({ source, type })

      expect((await send(source, body.replace('"', ' "'), headers)).status).toBe(401)
      for (const name of Object.keys(headers).filter((each) => /signature|-id|timestamp/.test(each))) {
        const value = headers[name] ?? ''
        const last = value.at(-1) === '0' ? '1' : '0'
        const forged = name.endsWith('signature')
          ? value.replace(/[A-Za-z0-9+/](?=[A-Za-z0-9+/]{8}=*$)/, (c) => (c === 'a' ? 'b' : 'a'))
          : value.slice(0, -1) + last
        expect((await send(source, body, { ...headers, [name]: forged })).status, `${source} ${name}`).toBe(401)
      }
    }
  })

  test('as GitHub documents them are all accepted, with byte-identical stored bodies', async () => {
    let count = 0
    for (const { name, examples: payloads } of examples as unknown as Example[]) {
      for (const payload of payloads) {
        const body = JSON.stringify(payload, null, count % 3)
        const headers = {
          'x-hub-signature-256': await sign(secrets.github, body),
          'x-github-event': name,
          'x-github-delivery': `delivery-${count++}`,
        }
        const { status, uid } = await send('github', body, headers)
        expect(status).toBe(200)
        expect((await storedBytes(uid)).equals(Buffer.from(body))).toBe(true)
        const type = typeof payload.action === 'string' ? `${name}.${payload.action}` : name
        expect(await service.api(`/v1/events/${uid}`)).toMatchObject({ type, status: 'unhandled' })
      }
    }
    expect(count).toBeGreaterThan(300)
  })
})

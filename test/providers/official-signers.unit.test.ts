import { sign } from '@octokit/webhooks-methods'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { Webhook as SvixWebhook } from 'svix'
import { describe, expect, test } from 'vitest'
import { shippedProviders } from '../../src/providers/index.ts'
import { compileVerifier } from '../../src/signatures/registry.ts'

const NOW_MS = 1_750_861_210_000
const SECONDS = NOW_MS / 1_000
const ID = 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W'
const BASE64_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const STRIPE_SECRET = 'whsec_1234567890abcdefghijklmnopqrstuv'
const GITHUB_SECRET = "It's a Secret to Everybody"

const standardHeaders = (body: string, secret = BASE64_SECRET) => ({
  'webhook-id': ID,
  'webhook-timestamp': String(SECONDS),
  'webhook-signature': new StandardWebhook(secret).sign(ID, new Date(NOW_MS), body),
})
const svixHeaders = (body: string) => ({
  'svix-id': ID,
  'svix-timestamp': String(SECONDS),
  'svix-signature': new SvixWebhook(BASE64_SECRET).sign(ID, new Date(NOW_MS), body),
})
const textKey = 'a-secret-as-text-of-24-bytes'

type Signer = (body: string) => Record<string, string> | Promise<Record<string, string>>

/** The package that each provider tells its users to verify with, made to sign. */
const signers: [provider: string, by: string, secret: string, signer: Signer][] = [
  ...['ai', 'standard', 'openai', 'anthropic', 'replicate', 'svix'].map((name): (typeof signers)[number] => [
    name,
    'standardwebhooks',
    BASE64_SECRET,
    (body) => standardHeaders(body),
  ]),
  [
    'openai',
    'standardwebhooks with a key as text',
    textKey,
    (body) => standardHeaders(body, Buffer.from(textKey).toString('base64')),
  ],
  ['svix', 'svix', BASE64_SECRET, svixHeaders],
  [
    'stripe',
    'stripe',
    STRIPE_SECRET,
    (payload) => ({
      'stripe-signature': Stripe.webhooks.generateTestHeaderString({
        payload,
        secret: STRIPE_SECRET,
        timestamp: SECONDS,
      }),
    }),
  ],
  [
    'github',
    '@octokit/webhooks-methods',
    GITHUB_SECRET,
    async (body) => ({ 'x-hub-signature-256': await sign(GITHUB_SECRET, body) }),
  ],
]

/** What a receiver that serialises again would not see as it was sent. */
const bodies = [
  '{"id":"evt_1","type":"a.b"}',
  '{ "amount": 1.0, "path": "a\\/b", "name": "\\u00e9", "order": 820982911946154508 }\r\n',
  '{"text":"日本語 é 🎉"}',
  `{"long":"${'x'.repeat(5_000)}"}`,
]

describe.each(signers)('an event of provider %s that is signed by %s', (name, _by, secret, signer) => {
  const provider = shippedProviders.find((each) => each.name === name)
  if (provider === undefined) throw new Error(`no provider ${name}`)
  const verify = compileVerifier(provider.verify, [secret], undefined).verify

  test.each(bodies)('is accepted byte for byte: %.50s', async (text) => {
    const headers = await signer(text)
    const body = Buffer.from(text)
    expect(verify({ headers, body, query: '' }, NOW_MS)).toMatchObject({ ok: true })
    const again = Buffer.from(text.replace('"', ' "'))
    expect(verify({ headers, body: again, query: '' }, NOW_MS)).toEqual({ ok: false, reason: 'mismatch' })
  })
})

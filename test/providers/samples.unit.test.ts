import { describe, expect, test } from 'vitest'
import { type CatalogueType, catalogue } from '../../src/domain/event-catalogue.ts'
import type { Provider } from '../../src/domain/provider.ts'
import { readEvent } from '../../src/pipeline/read-event.ts'
import { compileSchema } from '../../src/pipeline/schema/schema.ts'
import { defineProvider } from '../../src/providers/define-provider.ts'
import { loadProviders } from '../../src/providers/load-providers.ts'
import { catalogueSamples as samples } from '../../src/providers/samples/ai.ts'
import * as shipped from '../../src/providers/samples/index.ts'
import { sampleFault, sampleRequest } from '../../src/providers/samples.ts'
import { compileVerifier, signRequest } from '../../src/signatures/registry.ts'
import { AI_SECRET } from '../support/ai-source.ts'

const { providers } = await loadProviders(undefined)
const nowMs = Date.parse('2026-11-23T10:00:00Z')
const url = 'https://hooks.example.com/v1/webhooks/x'

test.each(Object.keys(catalogue) as CatalogueType[])('the sample of %s matches the catalogue', (type) => {
  expect(compileSchema(catalogue[type])(samples[type])).toEqual([])
})

/** One event, shaped and signed by the provider's description, as its source sees it. */
function receive(provider: Provider, type: string, data?: Record<string, unknown>) {
  const request = sampleRequest(provider, { id: 'evt_1', type, data, nowMs }, AI_SECRET, shipped)
  const signature = signRequest(provider.verify, AI_SECRET, { id: 'evt_1', ...request, url, nowMs })
  const headers = { ...request.headers, ...signature.headers }
  const verdict = compileVerifier(provider.verify, [AI_SECRET], url).verify(
    { ...request, ...signature, headers },
    nowMs,
  )
  return { verdict, reading: readEvent(provider, headers, request.body, 0) }
}

const usual: Readonly<Record<string, string>> = {
  ai: 'completion.finished',
  anthropic: 'session.status_idled',
  assemblyai: 'transcript.completed',
  github: 'issues.opened',
  openai: 'response.completed',
  replicate: 'prediction.succeeded',
  stripe: 'invoice.paid',
}

/** Those whose events have no id of their own. */
const withoutId = new Set(['assemblyai'])

describe.each([...providers.values()].map(({ provider }) => [provider.name, provider] as const))(
  'a sample of provider %s',
  (name, provider) => {
    const type = usual[name] ?? 'thing.made'

    test('is authentic, and read back with the type and id that it was sent with', () => {
      const { verdict, reading } = receive(provider, type)
      const id = withoutId.has(name) ? expect.stringMatching(/^sha256:/) : 'evt_1'
      expect(verdict).toMatchObject({ ok: true })
      expect(reading).toMatchObject({ ok: true, fields: { type, id } })
    })

    test('carries the data that it was given', () => {
      const { reading } = receive(provider, type, { colour: 'red' })
      expect(reading).toMatchObject({ ok: true, fields: { type, data: { colour: 'red' } } })
    })
  },
)

test.each([
  ['github', 'ping'],
  ['github', 'push'],
  ['github', 'issue_comment.created'],
  ['github', 'workflow_run.completed'],
  ['stripe', 'customer.subscription.updated'],
])('provider %s has a sample of %s', (name, type) => {
  const provider = providers.get(name)?.provider as Provider
  expect(receive(provider, type)).toMatchObject({ verdict: { ok: true }, reading: { fields: { type } } })
})

test.each([...withoutId])('two samples of provider %s without an id are different events', (name) => {
  const provider = providers.get(name)?.provider as Provider
  const type = usual[name] ?? 'thing.made'
  const bodies = ['evt_1', 'evt_2'].map((id) =>
    sampleRequest(provider, { id, type, nowMs }, AI_SECRET, shipped).body.toString(),
  )
  expect(new Set(bodies).size).toBe(2)
})

test('a sample of a type that the provider cannot send fails with an error that names the type', () => {
  const provider = providers.get('replicate')?.provider as Provider
  const request = sampleRequest(provider, { id: 'evt_1', type: 'invoice.paid', nowMs }, AI_SECRET, shipped)
  expect(sampleFault(provider, request, 'invoice.paid')).toBe(
    'provider replicate has no type invoice.paid: it would be read as prediction.paid',
  )
  expect(sampleFault(provider, request, 'prediction.paid')).toBeUndefined()
})

describe('the sample of a user’s provider is made from its map', () => {
  test('with fields in headers and deep in the body', () => {
    const acme = defineProvider({
      name: 'acme',
      verify: {
        scheme: 'hmac',
        algorithm: 'sha512',
        key: 'utf8',
        signed: '{url}|{header:acme-event}|{body}',
        signature: { header: 'acme-signature', encoding: 'base64' },
        timestamp: { from: { body: 'meta.sent' }, unit: 'ms', pastSeconds: 60, futureSeconds: 60 },
      },
      event: { id: 'body:meta.id', type: 'header:Acme-Event', created_at: 'body:meta.at', data: 'body:payload.inner' },
    })
    expect(receive(acme, 'thing.made', { colour: 'red' })).toMatchObject({
      verdict: { ok: true },
      reading: {
        fields: { id: 'evt_1', type: 'thing.made', created_at: '2026-11-23T10:00:00.000Z', data: { colour: 'red' } },
      },
    })
  })

  test.each([
    ['the body', { body: 'auth.token' }],
    ['the query', { query: 'token' }],
    ['a header', { header: 'acme-token', prefix: 'Token ' }],
    ['the password', { basic: 'password' }],
  ] as const)('with a secret in %s, and the whole body as data', (_place, from) => {
    const plain = defineProvider({
      name: 'plain',
      verify: { scheme: 'shared-secret', from },
      event: { id: 'body:id', type: 'body:kind' },
    })
    expect(receive(plain, 'thing.made', { colour: 'red' })).toMatchObject({
      verdict: { ok: true },
      reading: { fields: { id: 'evt_1', type: 'thing.made', data: { colour: 'red' } } },
    })
  })
})

test('a user’s provider may bring its own samples', () => {
  const acme = defineProvider({
    name: 'acme',
    verify: { scheme: 'shared-secret', from: { body: 'meta.token' } },
    event: ({ headers, body }) => ({ id: headers['acme-id'], type: (body as { kind: string }).kind, data: body }),
    samples: ({ id, type, data = { colour: 'blue' } }) => ({
      headers: { 'acme-id': id },
      body: { kind: type, meta: { version: 1 }, ...data },
    }),
  })
  expect(receive(acme, 'thing.made', { colour: 'red' })).toMatchObject({
    verdict: { ok: true },
    reading: { fields: { id: 'evt_1', type: 'thing.made', data: { colour: 'red', meta: { version: 1 } } } },
  })
})

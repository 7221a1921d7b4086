import { describe, expect, test } from 'vitest'
import { providerFaults } from '../../src/providers/check.ts'
import { standardWebhooks } from '../../src/signatures/schemes.ts'

const signature = { header: 'x-signature', encoding: 'hex' }
const bare = { scheme: 'hmac', algorithm: 'sha256', key: 'utf8', signed: '{body}', signature }
const acme = { name: 'acme', verify: bare, event: { type: 'body:type' } }
const byLabel = { from: { label: 't' }, unit: 's', pastSeconds: 300, futureSeconds: null }
const listed = { ...signature, separator: ',', labelSeparator: '=', labels: ['v1'] }

describe('a provider module is sound', () => {
  test.each<[string, unknown]>([
    ['with a scheme and a map alone', acme],
    ['that reads by code', { ...acme, event: () => ({ type: 'a.b' }) }],
    ['with a schema for its data', { ...acme, schemas: { 'a.b': { type: 'object', required: ['id'] } } }],
    ['with media types', { ...acme, contentTypes: ['application/cloudevents+json', 'text/plain'] }],
    ['that signs URL and headers', { ...acme, verify: { ...bare, signed: '{url}{header:x-id}{body}' } }],
    ['by Standard Webhooks', { ...acme, verify: standardWebhooks }],
    [
      'with its timestamp among the signatures',
      { ...acme, verify: { ...bare, signed: '{timestamp}.{body}', signature: listed, timestamp: byLabel } },
    ],
    ...[{ header: 'x-token', prefix: 'Token ' }, { basic: 'password' }, { query: 't' }, { body: 'a.b' }].map(
      (from): [string, unknown] => [
        `with a secret by ${Object.keys(from)[0]}`,
        { ...acme, verify: { scheme: 'shared-secret', from } },
      ],
    ),
  ])('%s', (_, module) => {
    expect(providerFaults(module)).toEqual([])
  })
})

describe('a provider module is refused, and told where it is wrong', () => {
  const hmac = (changes: Record<string, unknown>) => ({ ...acme, verify: { ...bare, ...changes } })

  test.each<[string, unknown, string]>([
    ['is nothing', undefined, '/ must be object'],
    ['is a function', () => acme, '/ must be object'],
    ['has no name', { ...acme, name: undefined }, "must have required property 'name'"],
    ['has a name that is none', { ...acme, name: 'Acme Inc' }, '/name must match pattern'],
    ['reads its events asynchronously', { ...acme, event: async () => ({}) }, '/event must not be an async function'],
    ['has a field too many', { ...acme, verfy: {} }, 'must NOT have additional properties: "verfy"'],
    ['has no event', { ...acme, event: undefined }, "must have required property 'event'"],
    ['has an event that is a text', { ...acme, event: 'body:type' }, '/event must be object'],
    ['finds its type nowhere', { ...acme, event: { id: 'body:id' } }, "/event must have required property 'type'"],
    ['selects from nowhere', { ...acme, event: { type: 'payload.type' } }, '/event/type must match pattern'],
    ['has another scheme', { ...acme, verify: { scheme: 'jwt' } }, '(hmac|shared-secret)'],
    ['has another algorithm', hmac({ algorithm: 'md5' }), '(sha1|sha256|sha512)'],
    [
      'names a header in capitals',
      hmac({ signature: { ...signature, header: 'X-Signature' } }),
      '/verify/signature/header',
    ],
    [
      'has labels and no separator of them',
      hmac({ signature: { ...signature, labels: ['v1'] } }),
      'labels and their labelSeparator go together',
    ],
    [
      'has a separator of labels and no labels',
      hmac({ signature: { ...signature, labelSeparator: '=' } }),
      'labels and their labelSeparator go together',
    ],
    ['fills in what it does not know', hmac({ signed: '{nonce}{body}' }), '{nonce} is none of {id}'],
    ['fills in a header without a name', hmac({ signed: '{header:}{body}' }), '{header:} is none of {id}'],
    ['leaves a brace open', hmac({ signed: '{body}{' }), 'a brace belongs to no placeholder'],
    ['does not sign the body', hmac({ signed: '{url}' }), 'the template signs no {body}'],
    ['signs an id from nowhere', hmac({ signed: '{id}{body}' }), '{id} and the header it comes from go together'],
    ['reads an id that it does not sign', hmac({ id: 'x-id' }), '{id} and the header it comes from go together'],
    ['signs a timestamp from nowhere', hmac({ signed: '{timestamp}{body}' }), '{timestamp} and where it comes from'],
    [
      'reads a timestamp that it does not sign',
      hmac({ timestamp: { ...byLabel, from: { header: 'x-time' } } }),
      '{timestamp} and where it comes from',
    ],
    [
      'has a timestamp among signatures without labels',
      hmac({ signed: '{timestamp}{body}', timestamp: byLabel }),
      'needs their separator and labelSeparator',
    ],
    [
      'has a timestamp by the label of a signature',
      hmac({ signed: '{timestamp}{body}', timestamp: byLabel, signature: { ...listed, labels: ['v1', 't'] } }),
      'the label of the timestamp is that of a signature too',
    ],
    ['has a schema that is none', { ...acme, schemas: { 'a.b': { type: 'nonsense' } } }, '/schemas/a.b: '],
    [
      'takes its secret from a cookie',
      { ...acme, verify: { scheme: 'shared-secret', from: { cookie: 'x' } } },
      "/verify/from must have required property 'header', or /verify/from",
    ],
    ['takes any length of key', { ...acme, minKeyBytes: 0 }, '/minKeyBytes must be >= 1'],
  ])('that %s', (_, module, fault) => {
    expect(providerFaults(module).join('\n')).toContain(fault)
  })

  test('once for one fault, however many forms the place might take', () => {
    expect(providerFaults(hmac({ signature: { ...signature, header: 'X-Signature' } }))).toHaveLength(1)
    expect(providerFaults({ ...acme, verify: { scheme: 'shared-secret', from: {} } })).toHaveLength(1)
  })
})

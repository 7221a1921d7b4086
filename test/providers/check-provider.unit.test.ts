import { describe, expect, test } from 'vitest'
import { providerFaults } from '../../src/providers/check-provider.ts'
import { schemes } from '../../src/signatures/registry.ts'
import { standardWebhooks } from '../../src/signatures/standard-webhooks.ts'

const signature = { header: 'x-signature', encoding: 'hex' }
const bare = { scheme: 'hmac', algorithm: 'sha256', key: 'utf8', signed: '{body}', signature }
const acme = { name: 'acme', verify: bare, event: { type: 'body:type' } }
const byLabel = { from: { label: 't' }, unit: 's', pastSeconds: 300, futureSeconds: null }
const does = () => undefined
const tasks = { poll: does, read: does }
const submit = { request: does, taskId: does, callsBack: true, idempotent: false }
const registrations = {
  list: does,
  readList: does,
  create: does,
  update: does,
  remove: does,
  read: does,
  events: ['*'],
}
const listed = { ...signature, separator: ',', labelSeparator: '=', labels: ['v1'] }

const withTasks = (changes: Record<string, unknown>) => ({ ...acme, api: { tasks: { ...tasks, ...changes } } })
const withRegistrations = (changes: Record<string, unknown>) => ({
  ...acme,
  api: { registrations: { ...registrations, ...changes } },
})

describe('a valid provider module', () => {
  test.each<[string, unknown]>([
    ['with a scheme and a map alone', acme],
    ['that reads by code', { ...acme, event: () => ({ type: 'a.b' }) }],
    ['with a schema for its data', { ...acme, schemas: { 'a.b': { type: 'object', required: ['id'] } } }],
    ['that checks the type against the body', { ...acme, mismatch: does, redelivery: 'manual' }],
    ['with media types', { ...acme, contentTypes: ['application/cloudevents+json', 'text/plain'] }],
    ['that signs URL and headers', { ...acme, verify: { ...bare, signed: '{url}{header:x-id}{body}' } }],
    ['by Standard Webhooks', { ...acme, verify: standardWebhooks }],
    [
      'with its timestamp among the signatures',
      { ...acme, verify: { ...bare, signed: '{timestamp}.{body}', signature: listed, timestamp: byLabel } },
    ],
    ['that tells which events end a task', { ...acme, ends: does }],
    ['with samples of its own', { ...acme, samples: does }],
    ['with an empty API', { ...acme, api: {} }],
    ['that can be polled for tasks', { ...acme, api: { url: 'https://api.acme.test/v1', headers: does, tasks } }],
    [
      'that takes submissions, and sets its own pace',
      { ...acme, api: { tasks: { ...tasks, submit, pushes: false, concurrency: 1, pollsPerSecond: 0.5 } } },
    ],
    ['with registrations', { ...acme, api: { url: 'http://localhost:9', registrations } }],
    ['with registrations and all that goes with them', withRegistrations({ secret: does, eventOf: does })],
    ...[{ header: 'x-token', prefix: 'Token ' }, { basic: 'password' }, { query: 't' }, { body: 'a.b' }].map(
      (from): [string, unknown] => [
        `with a secret by ${Object.keys(from)[0]}`,
        { ...acme, verify: { scheme: 'shared-secret', from } },
      ],
    ),
  ])('may be one %s', (_, module) => {
    expect(providerFaults(module)).toEqual([])
  })
})

describe('a provider module', () => {
  const hmac = (changes: Record<string, unknown>) => ({ ...acme, verify: { ...bare, ...changes } })

  test.each<[string, unknown, string]>([
    ['is undefined', undefined, '/ must be object'],
    ['is a function', () => acme, '/ must be object'],
    ['has no name', { ...acme, name: undefined }, "must have required property 'name'"],
    ['has a name that is not valid', { ...acme, name: 'Acme Inc' }, '/name must match pattern'],
    [
      'checks its events asynchronously',
      { ...acme, mismatch: async () => 'no' },
      '/mismatch must not be an async function',
    ],
    ['has an unknown redelivery', { ...acme, redelivery: 'often' }, '/redelivery must match pattern'],
    ['reads its events asynchronously', { ...acme, event: async () => ({}) }, '/event must not be an async function'],
    ['has a field too many', { ...acme, verfy: {} }, 'must NOT have additional properties: "verfy"'],
    ['has no event', { ...acme, event: undefined }, "must have required property 'event'"],
    ['has an event that is a text', { ...acme, event: 'body:type' }, '/event must be object'],
    ['finds its type nowhere', { ...acme, event: { id: 'body:id' } }, "/event must have required property 'type'"],
    ['selects from nowhere', { ...acme, event: { type: 'payload.type' } }, '/event/type must match pattern'],
    [
      'has another scheme',
      { ...acme, verify: { scheme: 'nonsense' } },
      `(${schemes.map(({ name }) => name).join('|')})`,
    ],
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
    ['has a schema that is not valid', { ...acme, schemas: { 'a.b': { type: 'nonsense' } } }, '/schemas/a.b: '],
    [
      'takes its secret from a cookie',
      { ...acme, verify: { scheme: 'shared-secret', from: { cookie: 'x' } } },
      "/verify/from must have required property 'header', or /verify/from",
    ],
    ['takes any length of key', { ...acme, minKeyBytes: 0 }, '/minKeyBytes must be >= 1'],
    ['has ends that are a table', { ...acme, ends: { 'a.b': 'completed' } }, '/ends must be a function'],
    ['has samples that are a table', { ...acme, samples: { 'a.b': {} } }, '/samples must be a function'],
    ['ends tasks asynchronously', { ...acme, ends: async () => undefined }, '/ends must not be an async function'],
    ['has an API that is a text', { ...acme, api: 'https://api.acme.test' }, '/api must be object'],
    [
      'has an API with a field too many',
      { ...acme, api: { uri: 'x' } },
      '/api must NOT have additional properties: "uri"',
    ],
    ['has headers that are a table', { ...acme, api: { headers: { a: 'b' } } }, '/api/headers must be a function'],
    ['cannot poll', withTasks({ poll: undefined }), "/api/tasks must have required property 'poll'"],
    ['polls by a text', withTasks({ poll: '/tasks/{id}' }), '/api/tasks/poll must be a function'],
    [
      'reads answers asynchronously',
      withTasks({ read: async () => undefined }),
      '/api/tasks/read must not be an async function',
    ],
    [
      'has a text for its rate of polls',
      withTasks({ pollsPerSecond: '40' }),
      '/api/tasks/pollsPerSecond must be number',
    ],
    ['may never poll', withTasks({ pollsPerSecond: 0 }), '/api/tasks/pollsPerSecond must be >= 0.0002777777777777778'],
    ['polls less than once in an hour', withTasks({ pollsPerSecond: 1e-9 }), '/api/tasks/pollsPerSecond must be >='],
    [
      'lets a signature be of any age',
      { ...acme, verify: { ...bare, timestamp: { ...byLabel, pastSeconds: Number.POSITIVE_INFINITY } } },
      '/verify/timestamp/pastSeconds must be number',
    ],
    [
      'polls more often than is allowed',
      withTasks({ pollsPerSecond: 1e6 }),
      '/api/tasks/pollsPerSecond must be <= 10000',
    ],
    [
      'polls at a rate that is no number',
      withTasks({ pollsPerSecond: Number.NaN }),
      '/api/tasks/pollsPerSecond must be number',
    ],
    [
      'has an endless concurrency',
      withTasks({ concurrency: Number.POSITIVE_INFINITY }),
      '/api/tasks/concurrency must be integer',
    ],
    [
      'has more concurrency than calls can be open',
      withTasks({ concurrency: 1_000 }),
      '/api/tasks/concurrency must be <= 256',
    ],
    ['has a concurrency of a half', withTasks({ concurrency: 0.5 }), '/api/tasks/concurrency must be'],
    ['has a word for whether it pushes', withTasks({ pushes: 'perhaps' }), '/api/tasks/pushes must be boolean'],
    [
      'has an unknown field of tasks',
      withTasks({ every: 5 }),
      '/api/tasks must NOT have additional properties: "every"',
    ],
    [
      'submits, and does not say whether it is idempotent',
      withTasks({ submit: { ...submit, idempotent: undefined } }),
      "/api/tasks/submit must have required property 'idempotent'",
    ],
    [
      'submits to a text',
      withTasks({ submit: { ...submit, request: '/tasks' } }),
      '/api/tasks/submit/request must be a function',
    ],
    [
      'reads no list',
      withRegistrations({ readList: undefined }),
      "/api/registrations must have required property 'readList'",
    ],
    ['has a secret that is a path', withRegistrations({ secret: 'body:secret' }), '/api/registrations/secret must be'],
    [
      'registers for nothing',
      withRegistrations({ events: [] }),
      '/api/registrations/events must NOT have fewer than 1',
    ],
    ...['ftp://acme.test', 'api.acme.test', '', 'https://a:b@acme.test', 'https://acme.test/?a=b'].map(
      (url): [string, unknown, string] => [
        `is at ${url || 'nothing'}`,
        { ...acme, api: { url } },
        '/api/url must be an http(s) URL',
      ],
    ),
    ['is at a number', { ...acme, api: { url: 80 } }, '/api/url must be string'],
  ])('that %s is refused with a fault that names the place', (_, module, fault) => {
    expect(providerFaults(module).join('\n')).toContain(fault)
  })

  test.each([
    ...['poll', 'read'].map((name): [string, unknown] => [`tasks/${name}`, withTasks({ [name]: 7 })]),
    ...['request', 'taskId'].map((name): [string, unknown] => [
      `tasks/submit/${name}`,
      withTasks({ submit: { ...submit, [name]: 7 } }),
    ]),
    ...['list', 'readList', 'create', 'update', 'remove', 'read', 'secret', 'eventOf'].map(
      (name): [string, unknown] => [`registrations/${name}`, withRegistrations({ [name]: 7 })],
    ),
  ])('that has a number for /api/%s is refused', (place, module) => {
    expect(providerFaults(module)).toEqual([`/api/${place} must be a function`])
  })

  test('has one fault for one place, even if the place has several forms', () => {
    expect(providerFaults(hmac({ signature: { ...signature, header: 'X-Signature' } }))).toHaveLength(1)
    expect(providerFaults({ ...acme, verify: { scheme: 'shared-secret', from: {} } })).toHaveLength(1)
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Submission } from '../../src/domain/provider.ts'
import { shippedProviders } from '../../src/providers/index.ts'
import { propertyParameters } from '../support/property.ts'
import { shipped, shippedTasks } from '../support/shipped.ts'

type Json = Record<string, unknown>

const asked = shippedProviders.filter(({ api }) => api?.tasks !== undefined)
const someId: Readonly<Record<string, string>> = { openai: 'batch_' }

test('five shipped providers have an API for tasks', () => {
  expect(asked.map(({ name }) => name)).toEqual(['ai', 'anthropic', 'assemblyai', 'openai', 'replicate'])
})

describe.each(asked.map(({ name }) => [name]))('provider %s', (name) => {
  const { poll } = shippedTasks(name)
  const prefix = someId[name] ?? ''
  const root = poll(`${prefix}x`)?.path.slice(0, -`${prefix}x`.length) ?? ''

  test('is polled at one path only, whatever the task id', () => {
    const ids = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('.', '..', '../a', '%2e%2e', 'a/b', 'a?b#c'))
    fc.assert(
      fc.property(ids, (text) => {
        const path = poll(`${prefix}${text}`)?.path
        if (path === undefined) return
        const url = new URL(`https://api.example.com/v1${path}`)
        expect(url.search + url.hash).toBe('')
        expect(url.pathname.startsWith(`/v1${root}`)).toBe(true)
        expect(decodeURIComponent(url.pathname.slice(`/v1${root}`.length))).toBe(`${prefix}${text}`)
        expect(url.pathname.split('/')).toHaveLength(`/v1${root}`.split('/').length)
      }),
      propertyParameters(),
    )
  })

  test.each(['', '.', '..', '\ud800'])('is not polled for the id %j', (id) => {
    expect(poll(id)).toBeUndefined()
  })
})

test('OpenAI is polled for the ids that it has an endpoint for', () => {
  const { poll, read } = shippedTasks('openai')
  for (const id of ['video_1', 'evalrun_1', 'RESP_1', 'x', 'batch']) {
    expect(poll(id)).toBeUndefined()
    expect(read({ id, status: 'completed' }, id)).toBeUndefined()
  }
})

describe('a submission', () => {
  const rest: Omit<Submission, 'request'> = { webhookUrl: 'https://hooks.example.com/v1/webhooks/x', secret: 's3cret' }
  const submitted = (name: string, request: Json) => shippedTasks(name).submit?.request({ request, ...rest })
  const post = (path: string, json: Json) => ({ method: 'POST', path, json })
  const { webhookUrl } = rest

  test.each<[string, Json, string, Json]>([
    ['ai', { data: { n: 1 } }, '/tasks', { data: { n: 1 }, webhook_url: webhookUrl }],
    ['ai', { webhook_url: 'https://elsewhere.test' }, '/tasks', { webhook_url: webhookUrl }],
    ['openai', { model: 'm', input: 'hi' }, '/responses', { model: 'm', input: 'hi', background: true }],
    ['openai', { prompt: { id: 'p' } }, '/responses', { prompt: { id: 'p' }, background: true }],
    [
      'openai',
      { model: 'm', background: false, store: true },
      '/responses',
      { model: 'm', background: true, store: true },
    ],
    [
      'openai',
      { input_file_id: 'f', endpoint: '/v1/responses' },
      '/batches',
      { input_file_id: 'f', endpoint: '/v1/responses' },
    ],
    ['openai', { training_file: 'f', model: 'm' }, '/fine_tuning/jobs', { training_file: 'f', model: 'm' }],
    [
      'replicate',
      { version: 'a/b', input: {} },
      '/predictions',
      { version: 'a/b', input: {}, webhook: webhookUrl, webhook_events_filter: ['completed'] },
    ],
    [
      'replicate',
      { version: 'a/b', webhook_events_filter: ['start', 'completed'] },
      '/predictions',
      { version: 'a/b', webhook: webhookUrl, webhook_events_filter: ['start', 'completed'] },
    ],
    [
      'assemblyai',
      { audio_url: 'https://a.test/a.mp3' },
      '/v2/transcript',
      {
        audio_url: 'https://a.test/a.mp3',
        webhook_url: webhookUrl,
        webhook_auth_header_name: 'x-webhook-secret',
        webhook_auth_header_value: 's3cret',
      },
    ],
    ['anthropic', { requests: [{ custom_id: 'a' }] }, '/v1/messages/batches', { requests: [{ custom_id: 'a' }] }],
  ])('to %s of %j goes to %s as %j', (name, request, path, json) => {
    const before = JSON.stringify(request)
    expect(submitted(name, request)).toEqual(post(path, json))
    expect(JSON.stringify(request)).toBe(before)
  })

  test.each<[string, Json]>([
    ['openai', {}],
    ['openai', { input: 'hi' }],
    ['openai', { model: null }],
    ['openai', { model: 'm', store: false }],
    ['openai', { model: 'm', stream: true }],
    ['anthropic', {}],
    ['anthropic', { model: 'm', messages: [] }],
  ])('to %s of %j has no endpoint', (name, request) => {
    expect(submitted(name, request)).toBeUndefined()
  })

  test.each<[string, Json, unknown]>([
    ['ai', { task_id: 't_1' }, 't_1'],
    ['ai', { id: 'request_1' }, undefined],
    ['openai', { id: 'resp_1', status: 'queued' }, 'resp_1'],
    ['replicate', { id: 'p_1', status: 'starting' }, 'p_1'],
    ['assemblyai', { id: 'tr_1', status: 'queued' }, 'tr_1'],
    ['anthropic', { id: 'msgbatch_1' }, 'msgbatch_1'],
  ])('to %s that is answered %j has the task id %j', (name, answer, id) => {
    expect(shippedTasks(name).submit?.taskId(answer)).toBe(id)
  })

  test('names the webhook if the provider allows it, and may be sent again if that is harmless', () => {
    const facts = asked.map(({ name }) => [
      name,
      shippedTasks(name).submit?.callsBack,
      shippedTasks(name).submit?.idempotent,
    ])
    expect(facts).toEqual([
      ['ai', true, true],
      ['anthropic', false, false],
      ['assemblyai', true, false],
      ['openai', false, false],
      ['replicate', true, false],
    ])
  })
})

describe('the API key', () => {
  test.each<[string, Json, Json]>([
    ['ai', { authorization: 'Bearer k' }, {}],
    ['anthropic', { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' }, { 'anthropic-version': '2023-06-01' }],
    ['assemblyai', { authorization: 'k' }, {}],
    ['openai', { authorization: 'Bearer k' }, {}],
    ['replicate', { authorization: 'Bearer k' }, {}],
  ])(
    'of %s is sent in the header that the provider documents, and is absent if none is configured',
    (name, withKey, without) => {
      const { headers } = shipped(name).api ?? {}
      expect(headers?.('k')).toEqual(withKey)
      expect(headers?.(undefined)).toEqual(without)
    },
  )

  test('is sent to the base URL of the provider, which for the generic API has to be configured', () => {
    expect(Object.fromEntries(asked.map(({ name, api }) => [name, api?.url]))).toEqual({
      ai: undefined,
      anthropic: 'https://api.anthropic.com',
      assemblyai: 'https://api.assemblyai.com',
      openai: 'https://api.openai.com/v1',
      replicate: 'https://api.replicate.com/v1',
    })
  })
})

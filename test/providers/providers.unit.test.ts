import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readEvent } from '../../src/pipeline/read-event.ts'
import { shippedProviders } from '../../src/providers/index.ts'
import { loadProviders } from '../../src/providers/load-providers.ts'
import { secretFault } from '../../src/signatures/registry.ts'

const RECEIVED_AT = '2026-01-01T00:00:00.000Z'

function read(name: string, body: unknown, headers: Record<string, string> = {}) {
  const provider = shippedProviders.find((each) => each.name === name)
  if (provider === undefined) throw new Error(`no provider ${name}`)
  const reading = readEvent(provider, headers, Buffer.from(JSON.stringify(body)), Date.parse(RECEIVED_AT))
  return reading.ok ? reading.fields : { unread: reading.reasons, id: reading.id }
}

describe('an event', () => {
  test('of ai has the standard structure', () => {
    const body = {
      id: 'evt_abc123',
      type: 'batch.completed',
      created_at: '2025-01-15T12:45:00Z',
      api_version: '2025-01-01',
      data: { batch_id: 'b_1' },
    }
    expect(read('ai', body, { 'webhook-id': 'msg_1' })).toEqual({
      id: 'evt_abc123',
      type: 'batch.completed',
      created_at: '2025-01-15T12:45:00Z',
      created_at_source: 'provider',
      api_version: '2025-01-01',
      data: { batch_id: 'b_1' },
      task: 'b_1',
    })
  })

  test('of ai may be a bare task status', () => {
    expect(read('ai', { task_id: 't_1', status: 'completed', result: 7 }, { 'webhook-id': 'msg_1' })).toEqual({
      id: 'msg_1',
      type: 'task.completed',
      created_at: RECEIVED_AT,
      created_at_source: 'received',
      data: { task_id: 't_1', status: 'completed', result: 7 },
      task: 't_1',
    })
  })

  test('of ai may have the other spelling of a bare status, and is the same event', () => {
    expect(read('ai', { task_id: 't_1', status: 'canceled' })).toMatchObject({
      type: 'task.cancelled',
      data: { task_id: 't_1', status: 'cancelled' },
      task: 't_1',
    })
  })

  test('of standard is identified by its header', () => {
    expect(
      read('standard', { type: 'a.b', timestamp: '2026-02-03T04:05:06Z', data: { x: 1 } }, { 'webhook-id': 'msg_1' }),
    ).toMatchObject({
      id: 'msg_1',
      type: 'a.b',
      created_at: '2026-02-03T04:05:06Z',
      data: { x: 1 },
    })
  })

  test('of OpenAI is identified by its delivery’s id, and its task is the object that it names', () => {
    const body = {
      id: 'evt_1',
      object: 'event',
      created_at: 1_750_861_210,
      type: 'response.completed',
      data: { id: 'resp_123' },
    }
    expect(read('openai', body, { 'webhook-id': 'wh_1' })).toEqual({
      id: 'wh_1',
      type: 'response.completed',
      created_at: '2025-06-25T14:20:10.000Z',
      created_at_source: 'provider',
      data: { id: 'resp_123' },
      task: 'resp_123',
    })
  })

  test('of Anthropic has its type in the data', () => {
    const body = {
      id: 'evt_1',
      type: 'event',
      created_at: '2026-01-01T00:00:00Z',
      data: { type: 'session.idled', id: 's_1' },
    }
    expect(read('anthropic', body)).toMatchObject({ id: 'evt_1', type: 'session.idled', task: 's_1' })
  })

  test('of Replicate has the prediction’s status for its type, and the prediction for its task', () => {
    const body = { id: 'p_1', status: 'succeeded', output: ['x'] }
    expect(read('replicate', body, { 'webhook-id': 'msg_1' })).toMatchObject({
      id: 'msg_1',
      type: 'prediction.succeeded',
      data: body,
      task: 'p_1',
    })
  })

  test('of AssemblyAI is one event if the same status comes twice, and another with another status', () => {
    const done = { transcript_id: 'tr_1', status: 'completed' }
    const reading = read('assemblyai', done)
    expect(reading).toEqual({
      id: expect.stringMatching(/^sha256:/),
      type: 'transcript.completed',
      created_at: RECEIVED_AT,
      created_at_source: 'received',
      data: done,
      task: 'tr_1',
    })
    expect(read('assemblyai', done).id).toBe(reading.id)
    expect(read('assemblyai', { ...done, status: 'error' }).id).not.toBe(reading.id)
    const redacted = { status: 'redacted_audio_ready', redacted_audio_url: 'https://cdn.example.com/a.wav' }
    expect(read('assemblyai', redacted)).toMatchObject({ type: 'transcript.redacted_audio_ready', data: redacted })
    expect(read('assemblyai', { transcript_id: 'tr_1' })).toMatchObject({ unread: ['no event type'] })
  })

  test('of Stripe has the fields of Stripe’s own structure', () => {
    const body = {
      id: 'evt_1',
      type: 'invoice.paid',
      created: 1_750_861_210,
      api_version: '2026-01-01',
      data: { object: { id: 'in_1' } },
    }
    expect(read('stripe', body)).toMatchObject({
      id: 'evt_1',
      type: 'invoice.paid',
      created_at: '2025-06-25T14:20:10.000Z',
      data: { object: { id: 'in_1' } },
    })
  })

  test('of GitHub has the event’s name for its type, with the action if there is one', () => {
    const headers = { 'x-github-event': 'issues', 'x-github-delivery': 'd_1' }
    expect(read('github', { action: 'opened', issue: {} }, headers)).toMatchObject({
      id: 'd_1',
      type: 'issues.opened',
      data: { action: 'opened', issue: {} },
    })
    expect(read('github', { zen: 'x' }, { ...headers, 'x-github-event': 'ping' })).toMatchObject({ type: 'ping' })
  })

  test('of Svix may have either of two sets of header names', () => {
    expect(read('svix', { type: 'a.b', data: {} }, { 'svix-id': 'msg_1' })).toMatchObject({ id: 'msg_1', type: 'a.b' })
    expect(read('svix', { type: 'a.b', data: {} }, { 'webhook-id': 'msg_1' })).toMatchObject({ id: 'msg_1' })
  })

  test('without an id of its own is identified by the digest of its body, so that the same body twice is one event', () => {
    const once = read('stripe', { type: 'a.b', data: {} })
    expect(once).toMatchObject({ id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) })
    expect(read('stripe', { type: 'a.b', data: {} })).toEqual(once)
  })

  test.each([
    ['no type', { id: 'evt_1' }, 'no event type'],
    ['a type that is no text', { id: 'evt_1', type: {} }, 'the event type is not a text'],
    [
      'a type of more than 256 characters',
      { id: 'evt_1', type: 'x'.repeat(257) },
      'the event type is longer than 256 characters',
    ],
    ['an id that is no text', { id: [], type: 'a.b' }, 'the event id is not a text'],
    ['an array', [1], 'no event type'],
  ])('with %s cannot be read, and the reason is given', (_, body, reason) => {
    expect(read('ai', body)).toMatchObject({ unread: [reason] })
  })
})

describe('loading providers', () => {
  function directoryWith(files: Record<string, string>): string {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-providers-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    return directory
  }

  const acme = `{
    name: 'acme',
    verify: {
      scheme: 'hmac', algorithm: 'sha512', key: 'utf8', signed: '{timestamp}:{body}',
      signature: { header: 'acme-signature', encoding: 'hex' },
      timestamp: { from: { header: 'acme-timestamp' }, unit: 'ms', pastSeconds: 60, futureSeconds: 60 },
    },
    event: { id: 'body:event_id', type: ['body:kind', 'header:acme-kind'] },
  }`

  test('gives all the shipped providers', async () => {
    const { providers, faults } = await loadProviders(undefined)
    expect(faults).toEqual([])
    expect([...providers.keys()].toSorted()).toEqual([
      'ai',
      'anthropic',
      'assemblyai',
      'github',
      'openai',
      'replicate',
      'standard',
      'stripe',
      'svix',
    ])
    for (const { provider, module } of providers.values()) expect((await import(module)).default).toBe(provider)
  })

  test('takes a user’s module that is data only, and imports nothing', async () => {
    const { providers, faults } = await loadProviders(directoryWith({ 'acme.ts': `export default ${acme}` }))
    expect(faults).toEqual([])
    const provider = providers.get('acme')?.provider
    expect(
      provider && readEvent(provider, { 'acme-kind': 'a.b' }, Buffer.from('{"event_id":7}'), Date.parse(RECEIVED_AT)),
    ).toMatchObject({
      ok: true,
      fields: { id: '7', type: 'a.b', data: { event_id: 7 } },
    })
  })

  test('lets a user’s module take the place of a shipped one', async () => {
    const { providers, faults } = await loadProviders(
      directoryWith({ 'mine.js': `export default ${acme.replace("'acme'", "'stripe'")}` }),
    )
    expect(faults).toEqual([])
    expect(providers.get('stripe')?.module).toContain('mine.js')
  })

  test('names the file of each fault', async () => {
    const directory = directoryWith({
      'a-throws.js': 'throw new Error("at the top")',
      'b-empty.js': '',
      'c-scheme.js': `export default ${acme.replace("'sha512'", "'md5'")}`,
      'd-template.js': `export default ${acme.replace('{timestamp}:', '{time}:')}`,
      'e-twice.js': `export default ${acme}`,
      'f-twice.js': `export default ${acme}`,
      'g-selector.js': `export default ${acme.replace("'body:event_id'", "'event_id'")}`,
    })
    const { faults } = await loadProviders(directory)
    const said = (file: string) =>
      faults.filter((fault) => fault.startsWith(`provider module ${join(directory, file)}:`)).join('; ')
    expect(said('a-throws.js')).toContain('at the top')
    expect(said('b-empty.js')).not.toBe('')
    expect(said('c-scheme.js')).toContain('/verify/algorithm')
    expect(said('d-template.js')).toContain('{time} is none of')
    expect(said('e-twice.js')).toBe('')
    expect(said('f-twice.js')).toContain('the name acme is taken')
    expect(said('g-selector.js')).toContain('/event/id')
  })
})

describe('a secret', () => {
  const fault = (name: string, secret: string) => {
    const provider = shippedProviders.find((each) => each.name === name)
    return provider && secretFault(provider, secret)
  }

  test.each([
    ['ai', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    ['openai', 'a-secret-as-text-of-24-bytes'],
    ['stripe', 'whsec_1234567890abcdefghijklmnopqrstuv'],
    ['github', "It's a Secret to Everybody"],
  ])('that %s hands out is accepted', (name, secret) => {
    expect(fault(name, secret)).toBeUndefined()
  })

  test.each([
    ['ai', 'whsec_my_secret_key', /not valid base64/],
    ['ai', 'whsec_c2hvcnQ=', /5 bytes of key; provider ai needs 24 bytes/],
    ['stripe', 'whsec_short', /11 bytes of key/],
    ['openai', 'whsec_not base64', /not valid base64/],
  ])('of %s that is too short or malformed is refused, and the message does not repeat it', (name, secret, message) => {
    expect(fault(name, secret)).toMatch(message)
    expect(fault(name, secret)).not.toContain(secret)
  })
})

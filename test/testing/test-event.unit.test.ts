import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Handler, WebhookEvent } from 'holdfast'
import { recorded, runHandler, sample } from 'holdfast/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { shippedProviders } from '../../src/providers/index.ts'
import acmeProvider from './acme-provider.ts'

/** The event that a handler got. */
async function seenIn(...[event, options]: [Parameters<typeof runHandler>[1], Parameters<typeof runHandler>[2]?]) {
  const handler = vi.fn<Handler<WebhookEvent<string, unknown>>>()
  const run = await runHandler(handler, event, options)
  expect(run).toMatchObject({ outcome: 'succeeded' })
  const [seen] = handler.mock.lastCall ?? []
  if (seen === undefined) throw new Error('the handler has not run')
  return seen
}

describe('an event', () => {
  const TYPES: Readonly<Record<string, string>> = {
    assemblyai: 'transcript.completed',
    github: 'push',
    replicate: 'prediction.succeeded',
  }

  test.each(shippedProviders.map(({ name }) => name))(
    'of provider %s comes in the form that its module reads',
    async (name) => {
      const type = TYPES[name] ?? 'message.created'
      const event = await seenIn(sample(name, type))
      expect(event).toMatchObject({ type, source: name, provider: name, origin: 'webhook', uid: expect.any(String) })
      expect(JSON.parse(event.raw().toString())).toBeTypeOf('object')
    },
  )

  test('of a provider of the user is read by its module, without the headers that carry its secret', async () => {
    const request = sample(acmeProvider, 'acme.thing', { size: 3 })
    expect(request.headers).not.toHaveProperty('x-acme-token')
    expect(await seenIn(request, { source: 'acme-eu' })).toMatchObject({
      type: 'acme.thing',
      data: { size: 3 },
      source: 'acme-eu',
      provider: 'acme',
    })
  })

  test('gets other fields and headers by the options, and its bytes stay', async () => {
    const request = sample('github', 'push')
    const event = { id: 'a', uid: 'b', type: 'release', data: { x: 1 }, origin: 'cli', task: 't' } as const
    const seen = await seenIn(request, {
      event: { ...event, created_at: '2026-01-02T03:04:05Z', received_at: '2026-01-02T03:04:06.000Z' },
      headers: { 'X-GitHub-Delivery': 'c' },
    })
    expect(seen).toMatchObject({
      ...event,
      created_at: '2026-01-02T03:04:05Z',
      received_at: '2026-01-02T03:04:06.000Z',
    })
    expect(seen.raw()).toEqual(request.body)
    expect(await seenIn(request, { headers: { 'X-GitHub-Delivery': 'c' } })).toMatchObject({ id: 'c' })
  })

  test('can be given by its fields alone', async () => {
    const seen = await seenIn({ type: 'acme.thing', data: { size: 3 }, uid: 'u', source: 'shop', origin: 'poll' })
    expect(seen).toMatchObject({ type: 'acme.thing', data: { size: 3 }, uid: 'u', source: 'shop', origin: 'poll' })
    expect(JSON.parse(seen.raw().toString())).toMatchObject({ type: 'acme.thing', data: { size: 3 } })
  })

  test('of a provider that does not exist, or of a type that its provider does not have, is refused', () => {
    expect(() => sample('strpe', 'invoice.paid')).toThrow(/no provider strpe \(is stripe meant\?\)/)
    expect(() => sample('assemblyai', 'invoice.paid')).toThrow(/has no type invoice.paid/)
    expect(() => sample({ name: 'acme' } as never, 'x')).toThrow(/what a provider module exports/)
  })
})

describe('a recorded event', () => {
  function fixture(fields: object, name = 'event.json'): string {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const file = join(directory, name)
    writeFileSync(file, JSON.stringify({ ...RECORDED, ...fields }))
    return file
  }

  const RECORDED = {
    format: 'holdfast-event/1',
    source: 'shop',
    provider: 'stripe',
    type: 'invoice.paid',
    id: 'evt_1',
    uid: '01a21a00-0000-7000-8000-000000000000',
    received_at: '2026-01-02T03:04:05.000Z',
    origin: 'webhook',
    headers: { 'content-type': 'application/json' },
    body: '{"id":"evt_1","type":"invoice.paid","created":1767323045,"data":{"object":{"id":"in_1"}}}',
  }

  test('is read from a path or a URL, with all that the service knew of it', async () => {
    const file = fixture({})
    const { format: _, headers: _h, body, ...known } = RECORDED
    const expected = { ...known, data: { object: { id: 'in_1' } }, created_at: '2026-01-02T03:04:05.000Z' }
    for (const given of [file, pathToFileURL(file), pathToFileURL(file).href]) {
      const event = await seenIn(recorded(given))
      expect(event).toMatchObject(expected)
      expect(event.raw().toString()).toBe(body)
    }
  })

  test('of a poll is read as the answer to the poll', async () => {
    const answer = { id: 'p1', status: 'succeeded', output: ['a'], created_at: '2026-01-02T03:04:05Z' }
    const event = await seenIn(
      recorded(
        fixture({
          provider: 'replicate',
          type: 'prediction.succeeded',
          origin: 'poll',
          task: 'p1',
          body: undefined,
          body_base64: Buffer.from(JSON.stringify(answer)).toString('base64'),
        }),
      ),
    )
    expect(event).toMatchObject({ type: 'prediction.succeeded', origin: 'poll', task: 'p1', id: 'evt_1' })
  })

  test('of a provider of the user needs its module', async () => {
    const body = JSON.stringify({ kind: 'acme.thing', object: { size: 3 } })
    const file = fixture({ provider: 'acme', type: 'acme.thing', body })
    expect(() => recorded(file)).toThrow(/ships no provider acme.*recorded\(".*", \{ provider \}\)/)
    expect(() => recorded(fixture({}), { provider: acmeProvider })).toThrow(/of provider stripe, not of acme/)
    expect(await seenIn(recorded(file, { provider: acmeProvider }))).toMatchObject({ data: { size: 3 }, id: 'evt_1' })
  })

  test('is refused with everything that is wrong with its file', () => {
    expect(() => recorded('missing.json')).toThrow(/missing.json cannot be read: ENOENT/)
    expect(() => recorded(fixture({ format: 'x' }))).toThrow(/its format is not holdfast-event\/1/)
    expect(() => recorded(fixture({ uid: 1, origin: 'x', headers: [], body: undefined, received_at: 'now' }))).toThrow(
      /uid is no text; received_at is no time; origin is none of webhook, poll, cli, sample; headers is no object of texts; it has neither body nor body_base64/,
    )
  })
})

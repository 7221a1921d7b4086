import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

const finished = {
  completion_id: 'cmpl_xyz789',
  model: 'gpt-4o',
  prompt_tokens: 150,
  completion_tokens: 500,
  total_tokens: 650,
  finish_reason: 'stop',
  content: 'The response content...',
  request_id: 'req_custom_001',
}

describe('a signed event', () => {
  test('is stored, acknowledged and handled, and the ops API shows all of it', async () => {
    const service = await startService({ HANDLER_PROCESSES: '1' })
    const event = signedEvent('completion.finished', finished)
    const { status, uid, duplicate } = await post(service.publicUrl, event)
    expect({ status, duplicate }).toEqual({ status: 200, duplicate: false })

    const line = await service.logged((each) => each.uid === uid && each.handler !== undefined)
    expect(line).toMatchObject({ type: 'completion.finished', source: 'ai', attempt: 1 })
    const detail = await eventually(
      () => service.api(`/v1/events/${uid}`),
      ({ deliveries }) => deliveries.every(({ state }: { state: string }) => state === 'succeeded'),
    )
    expect(detail).toMatchObject({
      id: event.id,
      type: 'completion.finished',
      source: 'ai',
      origin: 'webhook',
      status: 'accepted',
    })
    expect(detail.deliveries[0]).toMatchObject({ attempts: 1, history: [{ number: 1, outcome: 'succeeded' }] })

    const body = await fetch(`${service.opsUrl}/v1/events/${uid}/body`)
    expect(await body.text()).toBe(event.body)
    const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text()
    expect(metrics).toContain('holdfast_requests_total{source="ai",outcome="accepted"} 1')
    expect(metrics).toContain('holdfast_events_received_total{source="ai",type="completion.finished"} 1')
    expect(metrics).toMatch(
      /holdfast_events_processed_total\{source="ai",type="completion.finished",handler="[^"]+"\} 1/,
    )
    expect(await service.api('/metrics', { headers: { accept: 'application/json' } })).toMatchObject({
      events_received: 1,
      events_processed: 1,
      events_failed: 0,
      unhandled_events: 0,
    })
    expect(await service.stop()).toBe(0)
  })

  test('that is repeated is a duplicate of the first, and another body under its id is stored as a conflict and not dispatched', async () => {
    const modules = { 'all.js': 'export default (r) => r.on("*", () => {})' }
    const service = await startLocal({ HANDLERS_DIR: handlersIn(temporaryDirectory(), modules) })
    const first = await post(service.publicUrl, signedEvent('acme.thing', { n: 1 }, 'evt_same'))
    const body = JSON.stringify({ id: 'evt_same', type: 'acme.thing', data: { n: 2 } })
    const conflict = { id: 'evt_same', body, headers: signedHeaders(body) }

    const { items } = await service.api('/v1/events')
    const bytes = await (await fetch(`${service.opsUrl}/v1/events/${first.uid}/body`)).text()
    const again = { id: 'evt_same', body: bytes, headers: signedHeaders(bytes) }
    expect(items).toHaveLength(1)
    expect(await post(service.publicUrl, again)).toMatchObject({ status: 200, uid: first.uid, duplicate: true })

    const other = await post(service.publicUrl, conflict)
    expect(other).toMatchObject({ status: 200, duplicate: false })
    expect(other.uid).not.toBe(first.uid)
    expect(await service.api(`/v1/events/${other.uid}`)).toMatchObject({ status: 'conflict', deliveries: [] })
    expect((await service.api('/v1/events?status=conflict')).items).toHaveLength(1)
  })

  test('without a handler is logged with its keys, stored, and dispatched by a replay once a handler exists', async () => {
    const directory = temporaryDirectory()
    const HANDLERS_DIR = handlersIn(directory, {})
    const environment = { HANDLERS_DIR, DATABASE_URL: `file:${join(directory, 'holdfast.db')}` }
    const before = await startLocal(environment)
    const { uid } = await post(before.publicUrl, signedEvent('unknown.event', { secret: 'not for a log' }))
    const line = await eventually(
      async () => before.logs.find(({ msg }) => msg === 'event unhandled'),
      (found) => found !== undefined,
    )
    expect(line).toMatchObject({ uid, type: 'unknown.event', payload_keys: ['id', 'type', 'created_at', 'data'] })
    expect(line?.received_at).toMatch(/^\d{4}-.*Z$/)
    expect(JSON.stringify(before.logs)).not.toContain('not for a log')
    expect(await before.api(`/v1/events/${uid}`)).toMatchObject({ status: 'unhandled', deliveries: [] })
    await before.stop()

    const handled = join(directory, 'handled')
    handlersIn(directory, {
      'unknown.js': `import { appendFileSync } from 'node:fs'
        export default (r) => r.on('unknown.*', { name: 'late' }, ({ uid }) => appendFileSync(${JSON.stringify(handled)}, uid))`,
    })
    const after = await startLocal(environment)
    await after.api(`/v1/events/${uid}/replay`, { method: 'POST' })
    const { status, deliveries } = await eventually(
      () => after.api(`/v1/events/${uid}`),
      (event) => event.deliveries[0]?.state === 'succeeded',
    )
    expect(deliveries).toMatchObject([{ handler: 'late' }])
    expect(readFileSync(handled, 'utf8')).toBe(uid)
    expect(status).toBe('accepted')
  })

  test.each([
    ['no JSON', 'hello', 'the body is not valid JSON'],
    [
      'a catalogued type without its fields',
      JSON.stringify({ id: 'evt_1', type: 'completion.finished', data: {} }),
      "must have required property 'completion_id'",
    ],
    ['no type', JSON.stringify({ id: 'evt_2', data: {} }), 'no event type'],
  ])('that cannot be understood (%s) is stored with the reasons and acknowledged', async (_, body, reason) => {
    const service = await startLocal()
    const { status, uid } = await post(service.publicUrl, { id: '', body, headers: signedHeaders(body) })
    expect(status).toBe(200)
    const detail = await service.api(`/v1/events/${uid}`)
    expect(detail).toMatchObject({ status: 'quarantined', deliveries: [] })
    expect(detail.reasons.join()).toContain(reason)
    expect(await service.api('/metrics', { headers: { accept: 'application/json' } })).toMatchObject({
      events_received: 1,
      events_failed: 0,
    })
    expect(await (await fetch(`${service.opsUrl}/v1/events/${uid}/body`)).text()).toBe(body)
  })

  test('has a delivery for each of its handlers: one that succeeded does not run again when another one fails', async () => {
    const directory = temporaryDirectory()
    const ran = join(directory, 'ran')
    const module = `import { appendFileSync } from 'node:fs'
      export default (router) => {
        router.on('acme.thing', { name: 'steady' }, () => appendFileSync(${JSON.stringify(ran)}, 'once'))
        router.on('acme.*', { name: 'shaky' }, (event, { attempt }) => { if (attempt < 3) throw new Error('not yet') })
        router.on('acme.thing', { name: 'hopeless' }, (event, { fail }) => fail('never'))
      }`
    const service = await startLocal({
      HANDLERS_DIR: handlersIn(directory, { 'fan.js': module }),
      RETRY_BASE_MS: '10',
    })
    const { uid } = await post(service.publicUrl, signedEvent('acme.thing'))
    type Delivery = { handler: string; state: string; attempts: number; last_error?: string }
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${uid}`),
      (detail) => detail.deliveries.every(({ state }: Delivery) => state === 'succeeded' || state === 'dead'),
    )
    expect(
      Object.fromEntries(
        deliveries.map(({ handler, state, attempts }: Delivery) => [handler, `${state} after ${attempts}`]),
      ),
    ).toEqual({
      steady: 'succeeded after 1',
      shaky: 'succeeded after 3',
      hopeless: 'dead after 1',
    })
    await service.stop()
    expect(readFileSync(ran, 'utf8')).toBe('once')
  })

  test('reaches handlers of every endpoint design of the tutorial: one for all, one per kind, versioned or not', async () => {
    const secret = AI_SECRET
    const service = await startLocal({
      SOURCES: 'ai,completions,batches',
      SOURCE_COMPLETIONS_PROVIDER: 'ai',
      SOURCE_COMPLETIONS_SECRET: secret,
      SOURCE_COMPLETIONS_TYPES: 'completion.*',
      SOURCE_BATCHES_PROVIDER: 'ai',
      SOURCE_BATCHES_SECRET: secret,
      SOURCE_BATCHES_TYPES: 'batch.*',
    })
    const send = async (path: string, type: string, data: Record<string, unknown>) => {
      const { status, uid } = await post(service.publicUrl, signedEvent(type, data), path)
      return { answer: status, status: (await service.api(`/v1/events/${uid}`)).status }
    }
    const accepted = { answer: 200, status: 'accepted' }
    const batch = { batch_id: 'batch_abc123' }
    expect(await send('/webhooks/ai', 'completion.finished', finished)).toEqual(accepted)
    expect(await send('/v1/webhooks/ai/', 'batch.created', batch)).toEqual(accepted)
    expect(await send('/webhooks/completions', 'completion.finished', finished)).toEqual(accepted)
    expect(await send('/v1/webhooks/batches', 'batch.created', batch)).toEqual(accepted)
    expect(await send('/v1/webhooks/completions', 'batch.created', batch)).toEqual({ answer: 200, status: 'unhandled' })
  })
})

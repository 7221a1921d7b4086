import { describe, expect, test } from 'vitest'
import { post, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'

const stats = (service: LocalService, query = '') => service.api(`/v1/stats${query}`)

async function sendOneOfEach(service: LocalService): Promise<void> {
  const event = signedEvent('task.completed', { task_id: 'a', status: 'completed' })
  await post(service.publicUrl, event)
  await post(service.publicUrl, event)
  const headers = { 'content-type': 'application/json' }
  await fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', headers, body: '{}' })
  const forged = { ...headers, ...signedHeaders('{}', `whsec_${'x'.repeat(32)}`) }
  await fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', headers: forged, body: '{}' })
}

describe.each([
  ['the embedded store', (): Record<string, string> => ({})],
  ['PostgreSQL', (): Record<string, string> => ({ DATABASE_URL: ownSchema() })],
])('with %s, the numbers over time', (_, storage) => {
  test('tell what came, was refused and was handled, and outlive the service', async () => {
    const environment = storage()
    const service = await startLocal(environment)
    await sendOneOfEach(service)
    await eventually(
      async () => (await service.api('/v1/deliveries?state=succeeded')).items,
      (items) => items.length === 1,
    )
    await service.stop()
    const again = await startLocal(environment, { directory: service.directory })
    const { total, items, step } = await stats(again, '?source=ai')
    expect(total).toMatchObject({
      received: 1,
      duplicates: 1,
      refused: { signature_missing: 1, signature_mismatch: 1 },
      handled: 1,
      failed: 0,
      ack: { count: 2, p50_ms: expect.any(Number), p99_ms: expect.any(Number) },
      handler: { count: 1, p50_ms: expect.any(Number) },
      queue: { count: 1, p99_ms: expect.any(Number) },
    })
    expect(step).toBe(300)
    expect(items.length).toBeGreaterThan(0)
    expect(await stats(again, '?source=elsewhere')).toMatchObject({ items: [], total: { received: 0 } })
  })
})

test('numbers of an impossible period or step are refused', async () => {
  const service = await startLocal()
  for (const query of [
    'since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z',
    'step=61',
    'step=0',
    'since=never',
    'hour=1',
  ])
    expect(await stats(service, `?${query}`)).toMatchObject({ status: 400 })
})

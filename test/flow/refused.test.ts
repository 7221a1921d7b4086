import { expect, test } from 'vitest'
import { post, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'

test('a source whose secret was changed at the provider shows as refusing, in the log and the metrics too, until a webhook is accepted', async () => {
  const service = await startLocal({}, { tuning: { monitorMs: 50 } })
  const forged = signedHeaders('{}', `whsec_${Buffer.from('another secret than the service has').toString('base64')}`)
  const send = () =>
    fetch(`${service.publicUrl}/v1/webhooks/ai`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...forged },
      body: '{}',
    })
  for (let n = 0; n < 3; n++) expect((await send()).status).toBe(401)
  const source = async () => (await service.api('/v1/sources')).items[0]
  const metrics = async () => (await fetch(`${service.opsUrl}/metrics`)).text()
  await eventually(source, ({ refusing_reason }) => refusing_reason === 'signature_mismatch')
  expect(await source()).toMatchObject({
    refusing_since: expect.any(String),
    silent_since: null,
    usual_gap_seconds: null,
  })
  expect(await metrics()).toContain('holdfast_source_refusing{source="ai"} 1')
  expect(service.logs.filter(({ msg }) => String(msg).includes('to this source are refused'))).toHaveLength(1)
  await post(service.publicUrl, signedEvent('task.completed', { task_id: 'a', status: 'completed' }))
  await eventually(source, ({ refusing_since }) => refusing_since === null)
  expect(service.logs.filter(({ msg }) => String(msg).includes('accepted again'))).toHaveLength(1)
  expect(await metrics()).toContain('holdfast_source_refusing{source="ai"} 0')
})

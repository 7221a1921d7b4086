import { expect, test } from 'vitest'
import { post, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { signatureOf } from '../support/raw-http.ts'

type Logs = readonly Record<string, unknown>[]

/** An episode's beginning and end are in the log once the store has them, shortly after they show. */
const toldOnce = (logs: Logs, text: string) =>
  eventually(
    async () => logs.filter(({ msg }) => String(msg).includes(text)),
    (told) => told.length === 1,
  )

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
  await toldOnce(service.logs, 'to this source are refused')
  await post(service.publicUrl, signedEvent('task.completed', { task_id: 'a', status: 'completed' }))
  await eventually(source, ({ refusing_since }) => refusing_since === null)
  await toldOnce(service.logs, 'accepted again')
  expect(await metrics()).toContain('holdfast_source_refusing{source="ai"} 0')
})

test('a source from which nothing comes for longer than expected shows as silent, over a restart too, until a webhook comes', async () => {
  let aheadMs = 0
  const tuning = { monitorMs: 20, clock: () => Date.now() + aheadMs }
  const environment = { SOURCE_AI_EXPECT_EVERY: '5m' }
  const first = await startLocal(environment, { tuning })
  const silence = async () =>
    Number(
      /holdfast_source_silent\{source="ai"\} (\d)/.exec(await (await fetch(`${first.opsUrl}/metrics`)).text())?.[1],
    )
  // In small steps, so that the service has run in each minute, also where it is slow.
  await eventually(
    async () => {
      aheadMs += 10_000
      return silence()
    },
    (isSilent) => isSilent === 1,
    30_000,
  )
  expect((await first.api('/v1/sources')).items[0].silent_since).toEqual(expect.any(String))
  const silent = (logs: Logs) => logs.filter(({ msg }) => String(msg).includes('no webhook of this source'))
  await toldOnce(first.logs, 'no webhook of this source')
  expect(silent(first.logs)).toEqual([expect.objectContaining({ source: 'ai', expected_every_seconds: 300 })])
  await first.stop()

  const again = await startLocal(environment, { tuning, directory: first.directory })
  const source = async () => (await again.api('/v1/sources')).items[0]
  await eventually(source, ({ silent_since }) => silent_since !== null)
  expect(silent(again.logs)).toEqual([])
  const { id, body } = signedEvent('task.completed', { task_id: 'a', status: 'completed' })
  const headers = signatureOf(Buffer.from(body), 'msg_1', tuning.clock())
  await post(again.publicUrl, { id, body, headers: { 'content-type': 'application/json', ...headers } })
  await eventually(source, ({ silent_since }) => silent_since === null)
  await toldOnce(again.logs, 'come again')
})

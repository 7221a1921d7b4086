import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startTaskFlow, type TaskFlow } from '../support/task-flow.ts'

const warnings = ({ service }: TaskFlow) => service.logs.filter(({ msg }) => String(msg).includes('do not come'))

async function sourceOf({ service }: TaskFlow) {
  return (await service.api('/v1/sources')).items[0]
}

/** A task whose webhook is lost. */
async function recover({ provider, track, task }: TaskFlow): Promise<string> {
  const id = provider.create()
  provider.finish(id, 'completed')
  await track(id)
  expect(await task(id, 20)).toMatchObject({ resolved_by: 'poll' })
  return id
}

test('a source whose tasks end by polls alone is reported, once for each silence', async () => {
  const flow = await startTaskFlow()
  const { service } = flow
  const first = await post(service.publicUrl, signedEvent('task.created', { task_id: 'x', status: 'created' }))
  expect(first.status).toBe(200)
  const { last_event_at } = await sourceOf(flow)
  expect(Date.now() - Date.parse(last_event_at)).toBeLessThan(60_000)
  expect(await sourceOf(flow)).toMatchObject({ silent_since: null, recovered_last_hour: 0, breaker: 'closed' })

  await recover(flow)
  const last = await recover(flow)
  expect(await sourceOf(flow)).toMatchObject({ silent_since: null, recovered_last_hour: 2 })
  expect(warnings(flow)).toEqual([])
  await recover(flow)
  await recover(flow)
  expect(await sourceOf(flow)).toMatchObject({ silent_since: last_event_at, recovered_last_hour: 4, last_event_at })
  expect(warnings(flow)).toHaveLength(1)

  // The webhook comes after all, if late: the channel works.
  await flow.provider.sendWebhook(last, service)
  expect(await sourceOf(flow)).toMatchObject({ silent_since: null, recovered_last_hour: 4 })
  expect(service.logs.some(({ msg }) => String(msg).includes('come again'))).toBe(true)

  for (let n = 0; n < 4; n++) await recover(flow)
  expect((await sourceOf(flow)).silent_since).not.toBeNull()
  expect(warnings(flow)).toHaveLength(2)
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text()
  expect(metrics).toContain('holdfast_tasks_resolved_total{source="ai",by="poll"} 8')
  expect(metrics).toContain('holdfast_tasks{status="completed"} 8')
})

test('the last webhook and the polls of a source are still known after a restart', async () => {
  const flow = await startTaskFlow()
  await post(flow.service.publicUrl, signedEvent('task.created', { task_id: 'x', status: 'created' }))
  await recover(flow)
  const before = await sourceOf(flow)
  await flow.service.stop()
  const again = await flow.restart()
  const [after] = (await again.api('/v1/sources')).items
  expect(Date.parse(after.last_event_at)).toBeLessThanOrEqual(Date.parse(before.last_event_at))
  expect(Date.parse(before.last_event_at) - Date.parse(after.last_event_at)).toBeLessThan(10_000)
  expect(after.recovered_last_hour).toBe(1)
})

test('a source with an API that does not answer shows an open breaker', async () => {
  const flow = await startTaskFlow({ misbehave: () => ({ kind: 'status', status: 500 }) })
  await Promise.all(Array.from({ length: 10 }, () => flow.track(flow.provider.create())))
  await eventually(
    () => sourceOf(flow),
    ({ breaker }) => breaker === 'open',
  )
})

import { expect, test } from 'vitest'
import { post, type SignedEvent, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

const HANDLERS = `export default (router) => {
  router.on('acme.thing', { name: 'steady' }, () => {})
  router.on('acme.broken', { name: 'broken' }, () => { throw new Error('broken') })
  router.on('completion.finished', { name: 'completion' }, () => {})
}`

const CASES: readonly (readonly [store: string, databaseUrl: () => Record<string, string>])[] = [
  ['SQLite', () => ({})],
  ['PostgreSQL', () => ({ DATABASE_URL: ownSchema() })],
]

/** The samples of a counter, summed over the labels that are not named. */
async function counted(service: LocalService, name: string, label: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${service.opsUrl}/metrics`)).text()
  const sums: Record<string, number> = {}
  for (const [, labels = '', value] of text.matchAll(new RegExp(`^${name}{(.*)} (\\S+)$`, 'gm'))) {
    const of = new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(labels)?.[1] ?? ''
    sums[of] = (sums[of] ?? 0) + Number(value)
  }
  return sums
}

const events = async (service: LocalService, query = '') => (await service.api(`/v1/events?limit=200${query}`)).items

function withBody(id: string, type: string, data: object): SignedEvent {
  const body = JSON.stringify({ id, type, data })
  return { id, body, headers: signedHeaders(body) }
}

/** One event, or two, for each thing that can become of it; the last has a task that expired. */
async function sendEach(service: LocalService): Promise<void> {
  const send = (event: SignedEvent) => post(service.publicUrl, event)
  const first = signedEvent('acme.thing', { n: 1 })
  await send(first)
  expect(await send(first)).toMatchObject({ duplicate: true })
  const other = withBody(first.id, 'acme.thing', { n: 2 })
  const conflict = await send(other)
  expect(conflict).toMatchObject({ status: 200, duplicate: false })
  expect(await send(other)).toMatchObject({ status: 200, duplicate: true, uid: conflict.uid })
  await send(signedEvent('acme.unknown'))
  await send(signedEvent('completion.finished', { tokens: 'many' }))
  await send(signedEvent('acme.broken'))
  await service.post('/v1/tasks', { source: 'ai', task_id: 't1', deadline_ms: 1 })
  await service.api('/v1/tasks/ai/t1?wait=20')
  await send(signedEvent('task.completed', { task_id: 't1', status: 'completed' }))
}

test.each(CASES)(
  'the event metrics equal the number of stored events of each status (%s)',
  async (_store, database) => {
    const directory = temporaryDirectory()
    const service = await startLocal(
      {
        HANDLERS_DIR: handlersIn(directory, { 'all.js': HANDLERS }),
        RETRY_MAX_ATTEMPTS: '2',
        RETRY_BASE_MS: '1',
        POLL_INTERVAL_MS: '20',
        LOG_LEVEL: 'silent',
        ...database(),
      },
      { directory },
    )
    await sendEach(service)
    const [broken] = await events(service, '&type=acme.broken')
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${broken.uid}`),
      ({ deliveries: [delivery] }) => delivery.state === 'dead',
    )

    const stored = await events(service)
    expect(await counted(service, 'holdfast_requests_total', 'outcome')).toEqual({
      accepted: 2,
      unhandled: 1,
      quarantined: 1,
      conflict: 1,
      superseded: 1,
      duplicate: 2,
    })
    for (const status of ['unhandled', 'quarantined', 'conflict', 'superseded'])
      expect((await events(service, `&status=${status}&origin=webhook`)).length, status).toBe(1)
    expect((await events(service, '&status=accepted&origin=webhook')).length).toBe(2)

    const received = await counted(service, 'holdfast_events_received_total', 'source')
    expect(received).toEqual({ ai: stored.length })
    expect(await counted(service, 'holdfast_events_unhandled_total', 'source')).toEqual({
      ai: (await events(service, '&status=unhandled')).length,
    })
    expect(await counted(service, 'holdfast_events_failed_total', 'handler')).toEqual({
      broken: deliveries[0].history.length,
    })
    const summary = await service.api('/metrics', { headers: { accept: 'application/json' } })
    expect(summary).toMatchObject({ events_received: stored.length, events_failed: 2 })
    expect(summary.avg_processing_time_ms).toBe(Number(summary.avg_processing_time_ms.toFixed(3)))
  },
)

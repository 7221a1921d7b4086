import { describe, expect, test } from 'vitest'
import { post, type SignedEvent, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { startRelay } from '../support/postgres/relay.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

const handler = (name: string, type = name) =>
  `export default (router) => router.on('${type}', { name: '${name}' }, () => {})`

/** Services on one database, each with handler modules of its own. */
function fleet() {
  const url = ownSchema()
  const start = (role: string, handlers: readonly string[] = []): Promise<LocalService> => {
    const directory = temporaryDirectory()
    const modules = Object.fromEntries(handlers.map((name) => [`${name.replaceAll('.', '-')}.ts`, handler(name)]))
    return startLocal({
      DATABASE_URL: url,
      ROLE: role,
      HANDLERS_DIR: role === 'ingest' ? `${directory}/nowhere` : handlersIn(directory, modules),
    })
  }
  return start
}

const event = (type: string): SignedEvent => signedEvent(type, {})
const send = (service: LocalService, type: string) => post(service.publicUrl, event(type))
const statusOf = async (url: string): Promise<number> => (await fetch(url)).status

/** An event's status and deliveries, once these are as they are expected to be. */
const deliveredTo = (service: LocalService, uid: string, expected: readonly [handler: string, state: string][]) =>
  eventually(
    () => service.api(`/v1/events/${uid}`),
    ({ deliveries }) =>
      JSON.stringify(deliveries.map((each: { handler: string; state: string }) => [each.handler, each.state])) ===
      JSON.stringify(expected),
  )

/** The names of the handlers by which a service routes. */
const knows = (service: LocalService, names: readonly string[]) =>
  eventually(
    async () => (await service.api('/v1/handlers')).items.map(({ name }: { name: string }) => name),
    (known) => JSON.stringify(known) === JSON.stringify(names),
  )

describe('an ingest replica, which has no handler modules', () => {
  test('takes events in for the handlers of a worker, which handles them', async () => {
    const start = fleet()
    const worker = await start('worker', ['order.paid'])
    const ingest = await start('ingest')
    const { status, uid } = await send(ingest, 'order.paid')
    expect(status).toBe(200)
    await deliveredTo(worker, uid, [['order.paid', 'succeeded']])
    const other = await send(ingest, 'order.lost')
    expect(await ingest.api(`/v1/events/${other.uid}`)).toMatchObject({ status: 'unhandled' })
    const summary = await fetch(`${ingest.opsUrl}/metrics`, { headers: { accept: 'application/json' } })
    expect(await summary.json()).toMatchObject({ registered_handlers: ['order.paid'], events_received: 2 })
  })

  test('answers 503, and is not ready, as long as no worker has ever started', async () => {
    const start = fleet()
    const ingest = await start('ingest')
    const first = event('order.paid')
    expect((await post(ingest.publicUrl, first)).status).toBe(503)
    for (const [url, reason] of [
      [ingest.publicUrl, 'the handlers of the workers are not known'],
      [ingest.opsUrl, 'no worker has registered its handlers yet'],
    ]) {
      const readiness = await fetch(`${url}/readyz`)
      expect([readiness.status, ((await readiness.json()) as { reasons: string[] }).reasons]).toEqual([503, [reason]])
    }
    expect(await statusOf(`${ingest.publicUrl}/livez`)).toBe(200)
    const worker = await start('worker', ['order.paid'])
    await eventually(
      () => statusOf(`${ingest.publicUrl}/readyz`),
      (status) => status === 200,
    )
    const { status, uid } = await post(ingest.publicUrl, first)
    expect(status).toBe(200)
    await deliveredTo(worker, uid, [['order.paid', 'succeeded']])
  })

  test('goes on taking events in while all workers are stopped, and the events wait for them', async () => {
    const start = fleet()
    const worker = await start('worker', ['order.paid'])
    const ingest = await start('ingest')
    await worker.stop()
    const { status, uid } = await send(ingest, 'order.paid')
    expect(status).toBe(200)
    await deliveredTo(ingest, uid, [['order.paid', 'pending']])
    const back = await start('worker', ['order.paid'])
    await deliveredTo(back, uid, [['order.paid', 'succeeded']])
  })

  test('replays an event for a handler that was added later, and a worker runs it', async () => {
    const start = fleet()
    const first = await start('worker', ['order.paid'])
    const ingest = await start('ingest')
    const { uid } = await send(ingest, 'order.shipped')
    await start('worker', ['order.shipped'])
    await knows(ingest, ['order.paid', 'order.shipped'])
    expect((await ingest.post(`/v1/events/${uid}/replay`)).status).toBe(202)
    await deliveredTo(first, uid, [['order.shipped', 'succeeded']])
  })
})

describe('workers', () => {
  test('answer webhooks with 503 so that providers send them again, and are alive and ready', async () => {
    const start = fleet()
    const worker = await start('worker', ['order.paid'])
    const answer = await fetch(`${worker.publicUrl}/v1/webhooks/ai`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.json()).toMatchObject({ status: 503, detail: 'this process is a worker' })
    expect((await send(worker, 'order.paid')).status).toBe(503)
    for (const path of ['/livez', '/readyz']) expect(await statusOf(worker.publicUrl + path)).toBe(200)
    expect((await worker.api('/v1/events')).items).toEqual([])
  })

  test('of two kinds get the events that each has a handler for, whichever replica receives them', async () => {
    const start = fleet()
    const paid = await start('all', ['order.paid'])
    const shipped = await start('all', ['order.shipped'])
    await knows(paid, ['order.paid', 'order.shipped'])
    const one = await send(paid, 'order.shipped')
    await deliveredTo(shipped, one.uid, [['order.shipped', 'succeeded']])
    const other = await send(shipped, 'order.paid')
    await deliveredTo(paid, other.uid, [['order.paid', 'succeeded']])
  })

  test('of a new release that has dropped a handler get no deliveries for it once the old workers are gone', async () => {
    const start = fleet()
    const old = await start('all', ['order.kept', 'order.dropped'])
    const fresh = await start('all', ['order.kept'])
    await knows(fresh, ['order.dropped', 'order.kept'])
    await old.stop()
    await knows(fresh, ['order.kept'])
    const { uid } = await send(fresh, 'order.dropped')
    expect(await fresh.api(`/v1/events/${uid}`)).toMatchObject({ status: 'unhandled', deliveries: [] })
    expect(fresh.logs).toContainEqual(
      expect.objectContaining({ msg: 'the handlers of the replicas have changed', removed: ['order.dropped'] }),
    )
  })
})

test('a client that waits at one replica for a task gets an answer at once when another replica receives the webhook that ends it', async () => {
  const start = fleet()
  const one = await start('all', ['task.completed'])
  const other = await start('all', ['task.completed'])
  await one.post('/v1/tasks', { source: 'ai', task_id: 't1' })
  const waiting = one.api('/v1/tasks/ai/t1?wait=120')
  await eventually(
    async () => (await other.api('/v1/tasks/ai/t1')).status,
    (status) => status === 'pending',
  )
  const ended = await post(other.publicUrl, signedEvent('task.completed', { task_id: 't1', status: 'completed' }))
  expect(ended.status).toBe(200)
  expect(await waiting).toMatchObject({ status: 'completed', resolved_by: 'webhook', event_uid: ended.uid })
  const resolved = async (service: LocalService) =>
    (await (await fetch(`${service.opsUrl}/metrics`)).text()).includes(
      'holdfast_tasks_resolved_total{source="ai",by="webhook"} 1',
    )
  expect([await resolved(one), await resolved(other)]).toEqual([false, true])
})

test('a worker lives on while the database is away, logs that once, and handles what comes afterwards', async () => {
  const url = new URL(ownSchema())
  const relay = await startRelay(Number(url.port))
  const handlers = { HANDLERS_DIR: handlersIn(temporaryDirectory(), { 'paid.ts': handler('order.paid') }) }
  const behindRelay = new URL(url)
  behindRelay.port = String(relay.port)
  const worker = await startLocal({ DATABASE_URL: behindRelay.href, ROLE: 'worker', ...handlers })
  const ingest = await startLocal({ DATABASE_URL: url.href, ROLE: 'ingest' })
  const told = async () =>
    worker.logs.filter(({ msg }) => String(msg).includes('the handlers of the other replicas can'))

  await relay.cut()
  await eventually(told, ({ length }) => length > 0)
  const lost = await eventually(
    async () => worker.logs.filter(({ msg }) => String(msg).includes('could not be claimed')),
    ({ length }) => length > 0,
  )
  expect(new Set(lost.map(({ msg }) => msg)).size).toBe(lost.length)
  const reasonsAt = async (at: string): Promise<readonly string[]> =>
    ((await (await fetch(`${at}/readyz`)).json()) as { reasons?: string[] }).reasons ?? []
  const [detail] = await eventually(
    () => reasonsAt(worker.opsUrl),
    ({ length }) => length > 0,
  )
  expect(detail).toContain(String(relay.port))
  expect(await reasonsAt(worker.publicUrl)).toEqual(['events cannot be stored'])
  expect((await worker.api('/v1/handlers')).items).toMatchObject([{ name: 'order.paid' }])
  const { uid } = await send(ingest, 'order.paid')
  await relay.resume()
  await deliveredTo(ingest, uid, [['order.paid', 'succeeded']])
  expect((await eventually(told, ({ length }) => length > 1)).map(({ msg }) => msg)).toEqual([
    'the handlers of the other replicas cannot be read',
    'the handlers of the other replicas can be read again',
  ])

  await relay.cut()
  await eventually(told, ({ length }) => length > 2)
  const startedAt = performance.now()
  await worker.stop()
  expect(performance.now() - startedAt).toBeLessThan(15_000)
  await relay.close()
})

test('a service with an embedded store shows no other replicas', async () => {
  await expect(startLocal({ ROLE: 'worker' })).rejects.toMatchObject({
    faults: [expect.stringContaining('needs PostgreSQL')],
  })
})

import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { startTaskFlow } from '../support/task-flow.ts'
import { exchangeOne, requestText } from './exchange.ts'
import { shareOps } from './ops-service.ts'
import { expectProblem } from './public-service.ts'
import { jsonOf, NEVER, pathOf, startTaskOps, type TaskOps } from './task-ops.ts'

/** Longer than a test may take: who waits so long is answered for another reason. */
const LONG = '?wait=300'

describe('GET /v1/tasks/:source/:task_id', () => {
  test('shows a task by the provider’s id and by its uid, in either case', async () => {
    const { track, get } = await startTaskOps()
    const id = await track()
    const task = await jsonOf(await get(pathOf(id)))
    expect(task).toMatchObject({ task_id: id, status: 'pending' })
    expect(await jsonOf(await get(pathOf(task.uid)))).toEqual(task)
    expect(await jsonOf(await get(pathOf(task.uid.toUpperCase())))).toEqual(task)
  })

  test('shows by its uid a task that has no id yet', async () => {
    const { post, get } = await startTaskOps({ misbehaveOnSubmit: () => ({ kind: 'status', status: 503 }) })
    const task = await jsonOf(await post('/v1/tasks', { source: 'ai', submit: {} }))
    expect(task).toMatchObject({ task_id: null, status: 'submitting' })
    const { questions, ...known } = await jsonOf(await get(pathOf(task.uid)))
    expect(known).toEqual(task)
    expect(questions).toMatchObject([{ kind: 'submission', by: 'caller', outcome: 'unusable', error: task.last_error }])
  })

  const ops = shareOps()

  test.each([
    ['/v1/tasks/ai/nothing', 404, 'task-not-found'],
    [`/v1/tasks/ai/${newUid()}`, 404, 'task-not-found'],
    ['/v1/tasks/ai/a%00b', 404, 'task-not-found'],
    [`/v1/tasks/ai/${'x'.repeat(5_000)}`, 404, 'task-not-found'],
    [`/v1/tasks/ai/nothing${LONG}`, 404, 'task-not-found'],
    ['/v1/tasks/nobody/nothing', 404, 'unknown-source'],
    ['/v1/tasks/ai/%', 400, 'malformed'],
    ['/v1/tasks/ai/%ff', 400, 'malformed'],
    ['/v1/tasks/ai/a?wait=301', 400, 'invalid-request'],
    ['/v1/tasks/ai/a?wait=-1', 400, 'invalid-request'],
    ['/v1/tasks/ai/a?wait=1.5', 400, 'invalid-request'],
    ['/v1/tasks/ai/a?wait=', 400, 'invalid-request'],
    ['/v1/tasks/ai/a?wait=30s', 400, 'invalid-request'],
    ['/v1/tasks/ai/a?wait=1&wait=2', 400, 'invalid-request'],
    ['/v1/tasks/ai/a?timeout=1', 400, 'invalid-request'],
  ])('answers %s with %i', async (path, status, slug) => {
    await expectProblem(await ops().get(path), status, slug)
  })

  test('finds a task at its own source only', async () => {
    const { store, get } = ops()
    const { task } = await store.track({ uid: newUid(), source: 'forms', id: 'f', maxWaitMs: 1, deadlineMs: 60_000 })
    await expectProblem(await get('/v1/tasks/ai/f'), 404, 'task-not-found')
    await expectProblem(await get(pathOf(task.uid)), 404, 'task-not-found')
  })

  test.each(['PUT', 'PATCH', 'POST'])('does not take %s', async (method) => {
    const answer = await ops().get('/v1/tasks/ai/a', { method })
    expect(answer.headers.get('allow')).toBe('GET, DELETE')
    await expectProblem(answer, 405, 'method-not-allowed')
  })
})

/** Ends a task at the provider, and asks for it. */
async function end({ provider, post }: TaskOps, id: string): Promise<void> {
  provider.finish(id, 'completed')
  await post(`${pathOf(id)}/poll`)
}

describe('GET /v1/tasks/:source/:task_id?wait', () => {
  test.each([
    ["the provider's id", (task: { task_id: string }) => task.task_id],
    ['its uid', (task: { uid: string }) => task.uid],
    ['its uid in capitals', (task: { uid: string }) => task.uid.toUpperCase()],
  ])('is answered as soon as the task has ended, by %s', async (_what, nameOf) => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const name = nameOf(await jsonOf(await ops.get(pathOf(id))))
    const waiting = ops.get(pathOf(name, LONG))
    await ops.isAsked(2)
    await end(ops, id)
    expect(await jsonOf(await waiting)).toMatchObject({ task_id: id, status: 'completed', resolved_by: 'poll' })
  })

  test('is answered when the task is cancelled', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const waiting = ops.get(pathOf(id, LONG))
    await ops.isAsked()
    await ops.get(pathOf(id), { method: 'DELETE' })
    expect(await jsonOf(await waiting)).toMatchObject({ status: 'cancelled' })
  })

  test('is answered for every client that waits for the task, and for no client that waits for another task', async () => {
    const ops = await startTaskOps()
    const [id, other] = [await ops.track(), await ops.track()]
    const waiting = Array.from({ length: 20 }, () => ops.get(pathOf(id, LONG)))
    const elsewhere = ops.get(pathOf(other, LONG))
    await ops.isAsked(21)
    await end(ops, id)
    for (const answer of await Promise.all(waiting)) expect(await jsonOf(answer)).toMatchObject({ status: 'completed' })
    await end(ops, other)
    expect(await jsonOf(await elsewhere)).toMatchObject({ task_id: other, status: 'completed' })
  })

  test('is answered at once where the task has ended already', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    await end(ops, id)
    expect(await jsonOf(await ops.get(pathOf(id, LONG)))).toMatchObject({ status: 'completed' })
  })

  test('is answered after its seconds with what is known then', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const startedAt = performance.now()
    const waiting = ops.get(pathOf(id, '?wait=1'))
    await ops.isAsked()
    // It is asked for meanwhile, and has not ended.
    await ops.post(`${pathOf(id)}/poll`)
    expect(await jsonOf(await waiting)).toMatchObject({ status: 'pending', provider_status: 'processing', polls: 1 })
    expect(performance.now() - startedAt).toBeGreaterThan(990)
  })

  test('does not wait at all for 0 seconds', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    expect(await jsonOf(await ops.get(pathOf(id, '?wait=0')))).toMatchObject({ status: 'pending' })
  })
})

describe('a client that disconnects while it waits for a task', () => {
  test('by closing its connection leaves no waiter behind', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const hangUp = new AbortController()
    const waiting = ops.get(pathOf(id, LONG), { signal: hangUp.signal }).catch(() => 'gone')
    await ops.isAsked()
    hangUp.abort()
    expect(await waiting).toBe('gone')
    expect(await ops.shown[0]).toMatchObject({ status: 'pending' })
  })

  test('by a reset leaves no waiter behind', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const socket = connect(Number(new URL(ops.url).port), '127.0.0.1')
    socket.write(requestText('GET', pathOf(id, LONG), []))
    await ops.isAsked()
    socket.resetAndDestroy()
    expect(await ops.shown[0]).toMatchObject({ status: 'pending' })
  })

  test('after another request over the same connection leaves no waiter behind', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const socket = connect(Number(new URL(ops.url).port), '127.0.0.1')
    socket.write(`GET ${pathOf(id)} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await once(socket, 'data')
    socket.write(`GET ${pathOf(id, LONG)} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await ops.isAsked(2)
    socket.destroy()
    expect(await ops.shown[1]).toMatchObject({ status: 'pending' })
  })

  test('on its own side only is answered with what is known', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    const port = Number(new URL(ops.url).port)
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.end(requestText('GET', pathOf(id, LONG), []))
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toContain('"status":"pending"')
    socket.destroy()
  })
})

test('a client that waits for a task is answered with what is known when the service stops', async () => {
  const { provider, track, service } = await startTaskFlow()
  const id = provider.create()
  await track(id, NEVER)
  const port = Number(new URL(service.opsUrl).port)
  const waiting = exchangeOne(port, requestText('GET', pathOf(id, LONG), []))
  // Whatever is asked after it is answered after it is under way.
  await service.api('/v1/tasks')
  await service.stop()
  const answer = await waiting
  expect([answer.status, JSON.parse(answer.body)]).toMatchObject([200, { task_id: id, status: 'pending' }])
})

describe('DELETE /v1/tasks/:source/:task_id', () => {
  test('cancels a task, and gives the same answer when it is repeated', async () => {
    const { track, get, tasks, provider } = await startTaskOps()
    const id = await track()
    const answer = await get(pathOf(id), { method: 'DELETE' })
    expect(answer.status).toBe(200)
    const task = await jsonOf(answer)
    expect(task).toMatchObject({ status: 'cancelled', next_poll_at: null, resolved_by: null, event_uid: null })
    expect(task.ended_at).not.toBeNull()
    expect(await jsonOf(await get(pathOf(id), { method: 'DELETE' }))).toEqual(task)
    expect(await jsonOf(await get(pathOf(id)))).toEqual({ ...task, questions: [] })
    await tasks.poller.pass()
    expect(provider.seen.pollsOf(id)).toBe(0)
  })

  test('leaves a task that has ended as it is', async () => {
    const ops = await startTaskOps()
    const id = await ops.track()
    await end(ops, id)
    const answer = await ops.get(pathOf(id), { method: 'DELETE' })
    expect(await jsonOf(answer)).toMatchObject({ status: 'completed', resolved_by: 'poll' })
  })

  test('cancels a task that is being submitted, so that it is not submitted again', async () => {
    const { post, get, tasks, provider } = await startTaskOps({
      misbehaveOnSubmit: () => ({ kind: 'rate-limited', retryAfterSeconds: 0 }),
    })
    const { uid } = await jsonOf(await post('/v1/tasks', { source: 'ai', submit: {} }))
    expect(await jsonOf(await get(pathOf(uid), { method: 'DELETE' }))).toMatchObject({ status: 'cancelled' })
    await tasks.poller.pass()
    expect(provider.seen.submissions).toBe(1)
  })

  test.each([
    ['/v1/tasks/ai/nothing', 'task-not-found'],
    ['/v1/tasks/nobody/nothing', 'unknown-source'],
  ])('answers %s with 404', async (path, slug) => {
    const { get } = await startTaskOps()
    await expectProblem(await get(path, { method: 'DELETE' }), 404, slug)
  })
})

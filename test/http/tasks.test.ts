import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { shareOps, startOps } from './ops-service.ts'
import { expectProblem } from './public-service.ts'
import { jsonOf, NEVER, pathOf, startTaskOps } from './task-ops.ts'

const SUBMIT = { source: 'ai', submit: { data: { prompt: 'a lighthouse' } } }
const KEY = { 'idempotency-key': 'order-7' }

describe('POST /v1/tasks with a task_id', () => {
  test('begins a task once: a repeated request gets 200 and the unchanged task', async () => {
    const { post, provider } = await startTaskOps({ maxWaitMs: 5_000, deadlineMs: 60_000 })
    const body = { source: 'ai', task_id: 't1', max_wait_ms: 1_000, metadata: { order: 7 } }
    const first = await post('/v1/tasks', body)
    expect(first.status).toBe(201)
    const task = await jsonOf(first)
    expect(task).toEqual({
      uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      source: 'ai',
      task_id: 't1',
      status: 'pending',
      provider_status: null,
      metadata: { order: 7 },
      created_at: expect.any(String),
      stale_at: new Date(Date.parse(task.created_at) + 1_000).toISOString(),
      expires_at: new Date(Date.parse(task.created_at) + 60_000).toISOString(),
      next_poll_at: task.stale_at,
      polls: 0,
      last_error: null,
      ended_at: null,
      resolved_by: null,
      event_uid: null,
    })
    const again = await post('/v1/tasks', { ...body, max_wait_ms: 9_000, metadata: { order: 8 } })
    expect([again.status, await again.json()]).toEqual([200, task])
    expect(provider.seen.requests).toEqual([])
  })

  test('takes task ids that are hard to spell', async () => {
    const { post, get } = await startTaskOps()
    const ids = [
      'a/b',
      'a%2Fb',
      '100%',
      'größe/任务',
      '👩‍🚀',
      '?wait=3',
      '#',
      ' ',
      '...',
      'poll',
      'a/poll',
      '%',
      'a+b',
      `e'"\\`,
    ]
    for (const id of ids) {
      const begun = await jsonOf(await post('/v1/tasks', { source: 'ai', task_id: id }))
      expect(begun).toMatchObject({ task_id: id, status: 'pending' })
      expect(await jsonOf(await get(pathOf(id)))).toEqual({ ...begun, questions: [] })
    }
  })

  test('takes a task id of 256 characters, and no longer one', async () => {
    const { post } = await startTaskOps()
    expect((await post('/v1/tasks', { source: 'ai', task_id: 'x'.repeat(256) })).status).toBe(201)
    await expectProblem(await post('/v1/tasks', { source: 'ai', task_id: 'x'.repeat(257) }), 400, 'invalid-request')
  })
})

describe('a body of POST /v1/tasks', () => {
  const ops = shareOps()
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    ops().get('/v1/tasks', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    })

  test.each([
    ['neither task_id nor submit', { source: 'ai' }, 'either task_id (to track) or submit (to submit) is needed'],
    ['both task_id and submit', { source: 'ai', task_id: 'a', submit: {} }, 'either task_id'],
    ['no source', { task_id: 'a' }, 'source'],
    ['an empty source', { source: '', task_id: 'a' }, 'source'],
    ['an id that is a number', { source: 'ai', task_id: 7 }, 'task_id'],
    ['an empty id', { source: 'ai', task_id: '' }, 'task_id'],
    ['a control character in its id', { source: 'ai', task_id: 'a\nb' }, 'that no task id has'],
    ['NUL in its id', { source: 'ai', task_id: 'a\0' }, 'that no task id has'],
    ['half a surrogate pair in its id', '{"source":"ai","task_id":"a\\ud800"}', 'that no task id has'],
    ['. as its id', { source: 'ai', task_id: '.' }, 'that no task id has'],
    ['.. as its id', { source: 'ai', task_id: '..' }, 'that no task id has'],
    ['a negative max_wait_ms', { source: 'ai', task_id: 'a', max_wait_ms: -1 }, 'max_wait_ms'],
    ['a max_wait_ms over ten years', { source: 'ai', task_id: 'a', max_wait_ms: 1e12 }, 'max_wait_ms'],
    ['a fraction of a millisecond', { source: 'ai', task_id: 'a', deadline_ms: 1.5 }, 'deadline_ms'],
    ['no time until its deadline', { source: 'ai', task_id: 'a', deadline_ms: 0 }, 'deadline_ms'],
    ['a time in words', { source: 'ai', task_id: 'a', deadline_ms: '60000' }, 'deadline_ms'],
    ['an unknown property', { source: 'ai', task_id: 'a', priority: 1 }, 'unknown body property priority'],
    ['a list as its request', { source: 'ai', submit: [] }, 'submit'],
    ['null as its request', { source: 'ai', submit: null }, 'submit'],
    ['a list as metadata', { source: 'ai', task_id: 'a', metadata: [] }, 'metadata'],
    ['text as metadata', { source: 'ai', task_id: 'a', metadata: 'x' }, 'metadata'],
    ['metadata over 16 KiB', { source: 'ai', task_id: 'a', metadata: { x: 'y'.repeat(16_384) } }, 'metadata has more'],
    [
      'metadata over 16 KiB in bytes',
      { source: 'ai', task_id: 'a', metadata: { x: '任'.repeat(6_000) } },
      'metadata has more',
    ],
    ['a request over 1 MiB', { source: 'ai', submit: { x: 'y'.repeat(1_048_576) } }, 'submit has more'],
    ['a long list as its request', { source: 'ai', submit: ['y'.repeat(70_000)] }, 'submit'],
    [
      'a long request in no UTF-8',
      Buffer.from(`{"source":"ai","submit":{"x":"${'\xff'.repeat(70_000)}"}}`, 'latin1'),
      'UTF-8',
    ],
    ['much beside its request', { source: 'ai', submit: {}, metadata: { x: 'y'.repeat(70_000) } }, 'beside submit'],
    ['nothing', '', ''],
    ['no object', '[]', ''],
    ['no JSON', '{', 'not valid JSON'],
    [
      'metadata without a bottom',
      `{"source":"ai","task_id":"a","metadata":{"a":${'['.repeat(8_000)}${']'.repeat(8_000)}}}`,
      'nests deeper',
    ],
    [
      'a request without a bottom',
      `{"source":"ai","submit":{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}}`,
      'nests deeper',
    ],
  ])('that has %s is refused with the reason', async (_what, body, reason) => {
    const { detail } = await expectProblem(await post(body), 400, 'invalid-request')
    expect(detail).toContain(reason)
    expect((await ops().store.tasks({}, { limit: 10 })).items).toEqual([])
  })

  test('that is larger than any task is not read to its end', async () => {
    await expectProblem(await post({ source: 'ai', submit: { x: 'y'.repeat(1_100_000) } }), 413, 'too-large')
  })

  test('whose content type is not JSON gets 415', async () => {
    await expectProblem(await post('source=ai', { 'content-type': 'text/plain' }), 415, 'unsupported-media-type')
  })

  test.each([['nobody'], ['AI'], ['a\0i'], ['__proto__'], ['ai/']])('for source %j gets 404', async (source) => {
    await expectProblem(await post({ source, task_id: 'a' }), 404, 'unknown-source')
    await expectProblem(await post({ source, submit: {} }), 404, 'unknown-source')
  })

  test('that submits to a provider that takes no tasks gets 409', async () => {
    const { detail } = await expectProblem(await post(SUBMIT), 409, 'not-configured')
    expect(detail).toBe('provider ai has no API to submit tasks')
  })
})

describe('POST /v1/tasks with an Idempotency-Key', () => {
  test('answers a repeated request with the same body with 201 and the same task, which is submitted once', async () => {
    const { post, provider } = await startTaskOps()
    const first = await post('/v1/tasks', SUBMIT, KEY)
    const task = await jsonOf(first)
    expect([first.status, task.task_id]).toEqual([201, provider.submitted[0]?.id])
    // Spaces in it are nothing to tell two requests by.
    const again = await post('/v1/tasks', JSON.stringify(SUBMIT, null, 4), KEY)
    expect([again.status, await again.json()]).toEqual([201, task])
    expect(provider.seen.submissions).toBe(1)
    // The provider is told the task's own key, not the caller's, which is its caller's alone.
    expect(provider.seen.idempotencyKeys).toEqual([task.uid])
  })

  test('answers a request with another body and a used key with 422', async () => {
    const { post, provider } = await startTaskOps()
    await post('/v1/tasks', SUBMIT, KEY)
    for (const other of [
      { ...SUBMIT, ...NEVER },
      { source: 'ai', submit: {} },
      { source: 'ai', task_id: 'a' },
    ])
      await expectProblem(await post('/v1/tasks', other, KEY), 422, 'idempotency-mismatch')
    expect(provider.seen.submissions).toBe(1)
  })

  test('takes a key in another case as another key', async () => {
    const { post, provider } = await startTaskOps()
    await post('/v1/tasks', SUBMIT, KEY)
    await post('/v1/tasks', SUBMIT, { 'idempotency-key': 'Order-7' })
    expect(provider.seen.submissions).toBe(2)
  })

  test.each([
    ['empty', ''],
    ['of two words', 'order 7'],
    ['not in ASCII', 'größe'],
    ['of more than 256 characters', 'x'.repeat(257)],
  ])('answers an Idempotency-Key that is %s with 400', async (_what, key) => {
    const { post, provider } = await startTaskOps()
    const { detail } = await expectProblem(
      await post('/v1/tasks', SUBMIT, { 'idempotency-key': key }),
      400,
      'invalid-request',
    )
    expect(detail).toContain('Idempotency-Key')
    expect(provider.seen.submissions).toBe(0)
  })

  test('makes one task and one submission of two requests at once', async () => {
    const { post, get, provider } = await startTaskOps({ misbehaveOnSubmit: () => ({ kind: 'slow', delayMs: 100 }) })
    const answers = await Promise.all(Array.from({ length: 8 }, () => post('/v1/tasks', SUBMIT, KEY)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
    const tasks = await Promise.all(answers.map(jsonOf))
    expect(new Set(tasks.map(({ uid }) => uid)).size).toBe(1)
    expect(provider.seen.submissions).toBe(1)
    expect((await jsonOf(await get('/v1/tasks'))).items).toMatchObject([{ task_id: provider.submitted[0]?.id }])
  })

  test('tracks a task as well as it submits one', async () => {
    const { post } = await startTaskOps()
    const body = { source: 'ai', task_id: 'a' }
    const first = await post('/v1/tasks', body, KEY)
    const again = await post('/v1/tasks', body, KEY)
    expect([first.status, again.status]).toEqual([201, 201])
    expect(await again.json()).toEqual(await first.json())
    await expectProblem(await post('/v1/tasks', { ...body, task_id: 'b' }, KEY), 422, 'idempotency-mismatch')
  })
})

test.each([{}, { 'idempotency-key': 'deep' }])(
  'the body of POST /v1/tasks may nest as deep as a stored body, and no deeper, with the headers %j',
  async (headers) => {
    const { get } = await startOps()
    const nested = (depth: number) => ({
      method: 'POST',
      body: `{"source":"ai","task_id":"deep","metadata":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`,
      headers: { 'content-type': 'application/json', ...headers },
    })
    expect((await get('/v1/tasks', nested(65))).status).toBe(400)
    for (const path of ['/v1/tasks', '/v1/registrations', `/v1/events/${newUid()}/replay`]) {
      const { detail } = await expectProblem(await get(path, nested(2_000)), 400, 'invalid-request')
      expect(detail).toBe('the body nests deeper than 65')
    }
    expect((await get('/v1/tasks', nested(64))).status).toBe(201)
  },
)

describe('GET /v1/tasks', () => {
  test('lists tasks newest first, page by page', async () => {
    const { track, get } = await startTaskOps()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.unshift(await track())
    const pages: string[][] = []
    let cursor: string | null = ''
    do {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const page: { items: { task_id: string }[]; next_cursor: string | null } = await jsonOf(
        await get(`/v1/tasks?limit=2${query}`),
      )
      pages.push(page.items.map(({ task_id }) => task_id))
      cursor = page.next_cursor
    } while (cursor !== null)
    expect(pages).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)])
    expect((await jsonOf(await get('/v1/tasks'))).items).toHaveLength(5)
  })

  test('narrows its list by source and by status', async () => {
    const { track, get, store } = await startTaskOps()
    const [pending, cancelled] = [await track(), await track()]
    await get(pathOf(cancelled), { method: 'DELETE' })
    const uid = newUid()
    await store.track({ uid, source: 'forms', id: 'f', maxWaitMs: 1, deadlineMs: 1_000 })
    const listed = async (query: string) =>
      (await jsonOf(await get(`/v1/tasks${query}`))).items.map(({ task_id }: { task_id: string }) => task_id)
    expect(await listed('')).toEqual(['f', cancelled, pending])
    expect(await listed('?source=ai')).toEqual([cancelled, pending])
    expect(await listed('?status=pending')).toEqual(['f', pending])
    expect(await listed('?status=cancelled&source=ai')).toEqual([cancelled])
    expect(await listed('?status=cancelled&source=forms')).toEqual([])
    expect(await listed('?source=nobody')).toEqual([])
  })

  const ops = shareOps()
  test.each([
    'status=done',
    'status=',
    'source=',
    'limit=0',
    'limit=201',
    'limit=a',
    'cursor=nonsense',
    'task=a',
    'status=pending&status=failed',
  ])('refuses ?%s', async (query) => {
    await expectProblem(await ops().get(`/v1/tasks?${query}`), 400, 'invalid-request')
  })
})

import { describe, expect, onTestFinished, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { Provider } from '../../src/domain/provider.ts'
import ai from '../../src/providers/ai/provider.ts'
import { startServer } from '../outbound/loopback-server.ts'
import { type FakeProviderOptions, startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

const MINUTE_MS = 60_000
const DEADLINE_MS = 24 * 60 * MINUTE_MS
/** Longer than any pause between two submissions. */
const LATER_MS = 10 * MINUTE_MS

const { submit: submission, ...asking } = ai.api.tasks
/** As provider ai, but nothing is known of what it does with a submission that comes twice. */
const forgetful: Provider = {
  ...ai,
  api: { ...ai.api, tasks: { ...asking, ...(submission && { submit: { ...submission, idempotent: false } }) } },
}

/** One source, a clock that only the test moves, and passes that only the test makes. */
async function start(url: string, { isIdempotent = false, totalMs = 2_000 } = {}) {
  let nowMs = Date.now()
  const rig = await startTaskRig({
    maxWaitMs: DEADLINE_MS,
    deadlineMs: DEADLINE_MS,
    clock: () => nowMs,
    sources: [{ call: callerOf(url, totalMs), provider: isIdempotent ? ai : forgetful }],
  })
  const { service, poller } = rig.tasks
  return {
    ...rig,
    submit: async () => (await service.begin({ source: 'ai', work: { submit: '{"prompt":"x"}' } })).task,
    task: (id: string) => service.show('ai', id, 0, new AbortController().signal),
    pass: (afterMs = 0) => {
      nowMs += afterMs
      return poller.pass()
    },
    /** A task that a process was submitting when it went away. */
    interrupted: async () =>
      (
        await rig.store.track({
          uid: newUid(),
          source: 'ai',
          request: '{"prompt":"x"}',
          leaseMs: MINUTE_MS,
          maxWaitMs: DEADLINE_MS,
          deadlineMs: DEADLINE_MS,
        })
      ).task,
  }
}

async function startForgetful(options: FakeProviderOptions, tuning = {}) {
  const provider = await startFakeProvider(options)
  onTestFinished(() => provider.close())
  return { provider, ...(await start(provider.url, tuning)) }
}

describe('a task at a provider that may make two tasks of one that is submitted twice', () => {
  test('is submitted again where the provider has said that it did not take it', async () => {
    const { submit, pass, task, provider } = await startForgetful({
      misbehaveOnSubmit: (nth) =>
        nth <= 2 ? { kind: 'rate-limited', retryAfterSeconds: 120, created: false } : undefined,
    })
    const { uid, status } = await submit()
    expect(status).toBe('submitting')
    await pass(119_000)
    expect(provider.seen.submissions).toBe(1)
    await pass(1_000)
    expect(provider.seen.submissions).toBe(2)
    await pass(120_000)
    expect(await task(uid)).toMatchObject({ status: 'pending', id: provider.submitted[0]?.id, lastError: null })
    expect(provider.seen.submissions).toBe(3)
  })

  test('is submitted again where there was no connection to the provider', async () => {
    const gone = await startFakeProvider()
    await gone.close()
    const { submit, pass, task } = await start(gone.url)
    const { uid, lastError } = await submit()
    expect(lastError).toContain('No connection')
    for (let n = 1; n <= 3; n++) {
      await pass(LATER_MS)
      expect((await task(uid)).nextPollAtMs).toBeLessThan((await task(uid)).expiresAtMs)
    }
    expect(await task(uid)).toMatchObject({
      status: 'submitting',
      lastError: expect.stringContaining('No connection'),
    })
  })

  test.each([
    ['hangs up', { kind: 'reset' }],
    ['hangs up in the middle of its answer', { kind: 'reset', after: 'headers' }],
    ['answers 500', { kind: 'status', status: 500 }],
    ['answers 503', { kind: 'status', status: 503 }],
    ['sends no answer', { kind: 'silence' }],
    ['answers without end', { kind: 'endless' }],
    ['answers something that is not JSON', { kind: 'garbage', form: 'text' }],
    ['redirects', { kind: 'redirect', status: 307 }],
  ] as const)(
    'is not submitted again where the provider %s: it is submitting until its deadline, and then expires',
    async (_, fault) => {
      const { submit, pass, task, provider, store, tasks, resolved } = await startForgetful(
        { misbehaveOnSubmit: () => fault },
        { totalMs: 300 },
      )
      const begun = await submit()
      const { uid } = begun
      expect(begun).toMatchObject({
        status: 'submitting',
        id: null,
        lastError: expect.stringContaining('; it is not known whether the provider has the task'),
        nextPollAtMs: begun.expiresAtMs,
      })
      for (let n = 1; n <= 5; n++) await pass(LATER_MS)
      // Nor by a caller that cannot wait.
      await expect(tasks.service.poll('ai', uid)).rejects.toMatchObject({ code: 'conflict' })
      await pass(DEADLINE_MS - 5 * LATER_MS - 1)
      expect(await task(uid)).toMatchObject({ status: 'submitting' })
      await pass(1)
      const expired = await task(uid)
      const { lastError } = begun
      expect(expired).toMatchObject({ status: 'expired', resolvedBy: 'expiry', id: null, lastError })
      expect(await store.event(String(expired.eventUid))).toMatchObject({ type: 'task.expired', task: uid })
      const { data } = JSON.parse(Buffer.from(await store.body(String(expired.eventUid))).toString())
      expect(data).toMatchObject({ task_id: uid, status: 'expired', error: lastError })
      expect(resolved).toEqual(['ai/expiry'])
      expect(provider.seen.submissions).toBe(1)
    },
  )

  test('is not submitted again by the process that follows one that was submitting it', async () => {
    const { interrupted, pass, task, provider } = await startForgetful({})
    const { uid } = await interrupted()
    await pass(MINUTE_MS)
    expect(await task(uid)).toMatchObject({
      status: 'submitting',
      lastError: 'the service ended while it submitted the task; it is not known whether the provider has the task',
    })
    for (let n = 1; n <= 5; n++) await pass(LATER_MS)
    expect(provider.seen.submissions).toBe(0)
    await pass(DEADLINE_MS)
    expect(await task(uid)).toMatchObject({ status: 'expired' })
  })
})

describe('a task at a provider that honours Idempotency-Key', () => {
  test('is submitted again by the process that follows one that was submitting it', async () => {
    const { interrupted, pass, task, provider } = await startForgetful({}, { isIdempotent: true })
    const { uid } = await interrupted()
    await pass(MINUTE_MS - 1)
    expect(provider.seen.submissions).toBe(0)
    await pass(1)
    expect(await task(uid)).toMatchObject({ status: 'pending', id: provider.submitted[0]?.id })
    expect(provider.seen.idempotencyKeys).toEqual([uid])
  })

  test('is submitted less and less often while that fails, with the same key each time', async () => {
    const { submit, pass, task, provider } = await startForgetful(
      { misbehaveOnSubmit: () => ({ kind: 'status', status: 500 }) },
      { isIdempotent: true },
    )
    const { uid } = await submit()
    for (let second = 1; second <= 600; second += 1) await pass(1_000)
    expect(provider.seen.submissions).toBeGreaterThanOrEqual(10)
    expect(provider.seen.submissions).toBeLessThanOrEqual(25)
    expect(new Set(provider.seen.idempotencyKeys)).toEqual(new Set([uid]))
    expect(provider.submitted).toHaveLength(1)
    expect(await task(uid)).toMatchObject({ status: 'submitting', polls: 0 })
  })

  test('has failed where the provider refuses a later submission', async () => {
    const { submit, pass, task, provider, store } = await startForgetful(
      { misbehaveOnSubmit: (nth) => ({ kind: 'status', status: nth === 1 ? 503 : 400, created: false }) },
      { isIdempotent: true },
    )
    const { uid } = await submit()
    await pass(LATER_MS)
    expect(await task(uid)).toMatchObject({
      status: 'failed',
      lastError: 'the provider answered 400',
      eventUid: null,
    })
    expect((await store.events({}, { limit: 10 })).items).toEqual([])
    await pass(LATER_MS)
    expect(provider.seen.submissions).toBe(2)
  })
})

describe('an answer of 200 to a submission', () => {
  test.each([
    '{}',
    '[]',
    'null',
    '{"task_id":""}',
    '{"task_id":7.5}',
    '{"task_id":".."}',
    '{"task_id":"a\\nb"}',
    '{"task_id":"a\\ud800"}',
    `{"task_id":"${'x'.repeat(257)}"}`,
    '{"id":"t1"}',
  ])('with the body %s gives no task id: the task is still submitting', async (answer) => {
    const server = await startServer((_, response) => response.end(answer))
    const { submit } = await start(server.url)
    expect(await submit()).toMatchObject({
      status: 'submitting',
      id: null,
      lastError: 'the answer of the provider has no task id; it is not known whether the provider has the task',
    })
  })

  test('may give a number as the task id', async () => {
    const server = await startServer((_, response) => response.end('{"task_id":12345}'))
    const { submit } = await start(server.url)
    expect(await submit()).toMatchObject({ status: 'pending', id: '12345' })
  })

  test('that gives the id of another task fails the new one, and leaves the other one as it is', async () => {
    const server = await startServer((_, response) => response.writeHead(201).end('{"task_id":"same"}'))
    const { submit, task, tasks, pass } = await start(server.url)
    const first = await submit()
    expect(first).toMatchObject({ status: 'pending', id: 'same' })
    await expect(submit()).rejects.toMatchObject({
      code: 'provider_failed',
      message: `the provider gave it the id of task ${first.uid}`,
    })
    const { items } = await tasks.service.list({}, { limit: 10 })
    expect(items).toMatchObject([{ status: 'failed', id: null }, first])
    await pass(LATER_MS)
    expect(await task('same')).toMatchObject({ uid: first.uid, status: 'pending' })
    expect(server.requests).toHaveLength(2)
  })
})

test('a task gets its id from a long answer to its submission', async () => {
  const server = await startServer((_, response) =>
    response.end(JSON.stringify({ echo: 'x'.repeat(200_000), task_id: 't1' })),
  )
  const { submit } = await start(server.url)
  expect(await submit()).toMatchObject({ status: 'pending', id: 't1', lastError: null })
})

test('a task that is submitted again waits while the API key is refused, and pauses its source', async () => {
  const { submit, pass, task, provider, tasks } = await startForgetful(
    {
      misbehaveOnSubmit: (nth) =>
        nth <= 6 ? { kind: 'status', status: nth === 1 ? 503 : 401, created: false } : undefined,
    },
    { isIdempotent: true },
  )
  const { uid } = await submit()
  for (let n = 1; n <= 5; n++) await pass(LATER_MS)
  expect(await task(uid)).toMatchObject({ status: 'submitting', lastError: 'the provider answered 401' })
  expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('open')
  await pass(LATER_MS)
  expect(await task(uid)).toMatchObject({ status: 'pending', lastError: null })
  expect(provider.submitted).toHaveLength(1)
})

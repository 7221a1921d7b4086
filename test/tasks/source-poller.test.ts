import { describe, expect, onTestFinished, test } from 'vitest'
import ai from '../../src/providers/ai/provider.ts'
import { eventually } from '../support/eventually.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { startSourcePoller } from '../support/source-poller.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

const STALE_MS = 300_000

describe('a stale task', () => {
  test('is polled from its max wait on, and not a millisecond sooner', async () => {
    const { provider, track, pass } = await startSourcePoller()
    const [id = ''] = await track()
    await pass(STALE_MS - 1)
    expect(provider.seen.pollsOf(id)).toBe(0)
    await pass(1)
    expect(provider.seen.pollsOf(id)).toBe(1)
  })

  test('is polled again after a tenth of its age, ten minutes at most, and with jitter', async () => {
    const { track, pass, dueInMs, task } = await startSourcePoller()
    const [id = ''] = await track()
    await pass(STALE_MS)
    expect(await dueInMs(id)).toBe(30_000)
    await pass(30_000)
    expect(await dueInMs(id)).toBe(33_000)
    await pass(20 * 3_600_000)
    expect(await dueInMs(id)).toBe(600_000)
    expect(await task(id)).toMatchObject({ polls: 3, providerStatus: 'processing', lastError: null })

    const jittery = await startSourcePoller({ random: () => 0.999_999 })
    const [other = ''] = await jittery.track()
    await jittery.pass(STALE_MS)
    expect(await jittery.dueInMs(other)).toBe(45_000)
  })

  test('is polled less and less often while polls fail, and as before once they succeed', async () => {
    let isBroken = true
    const { track, pass, dueInMs, task } = await startSourcePoller({
      maxWaitMs: 0,
      provider: { misbehave: () => (isBroken ? { kind: 'status', status: 404 } : undefined) },
    })
    const [id = ''] = await track()
    const waits: number[] = []
    await pass()
    for (let failures = 1; failures <= 5; failures++) {
      waits.push(await dueInMs(id))
      await pass(waits.at(-1))
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000])
    expect(await task(id)).toMatchObject({ lastError: 'the provider answered 404' })
    isBroken = false
    await pass(await dueInMs(id))
    expect(await dueInMs(id)).toBeLessThan(20_000)
    expect(await task(id)).toMatchObject({ lastError: null })
  })

  test('is not polled while the process drains, and is afterwards', async () => {
    let isDraining = true
    const { provider, track, pass } = await startSourcePoller({ isDraining: () => isDraining })
    const [id = ''] = await track()
    await pass(STALE_MS)
    expect(provider.seen.pollsOf(id)).toBe(0)
    isDraining = false
    await pass()
    expect(provider.seen.pollsOf(id)).toBe(1)
  })

  test('is not polled before it is stale, even if its owner has had it polled before', async () => {
    const { provider, track, pass, tasks } = await startSourcePoller()
    const [id = ''] = await track()
    await tasks.service.poll('ai', id)
    expect(provider.seen.pollsOf(id)).toBe(1)
    await pass(STALE_MS - 1)
    expect(provider.seen.pollsOf(id)).toBe(1)
    await pass(1)
    expect(provider.seen.pollsOf(id)).toBe(2)
  })

  test('is polled a last time at its deadline, and does not expire if it has ended by then', async () => {
    const { provider, track, pass, task } = await startSourcePoller({ maxWaitMs: 0, deadlineMs: 500 })
    const [ended = '', going = ''] = await track(2)
    await pass()
    provider.finish(ended, 'completed')
    // The next poll would be due after the deadline only.
    await pass(499)
    expect(provider.seen.pollsOf(ended)).toBe(1)
    await pass(1)
    expect(await task(ended)).toMatchObject({ status: 'completed', resolvedBy: 'poll' })
    expect(await task(going)).toMatchObject({ status: 'expired', resolvedBy: 'expiry' })
    expect(provider.seen.pollsOf(going)).toBe(2)
  })

  test('is never polled more often than the poll interval', async () => {
    const { track, pass, dueInMs } = await startSourcePoller({ maxWaitMs: 0 })
    const [id = ''] = await track()
    await pass()
    expect(await dueInMs(id)).toBe(1_000)
  })
})

describe('a provider whose tasks are polled', () => {
  test('gets as many polls at once as its module allows, and no more', async () => {
    const { provider, track, pass } = await startSourcePoller({
      provider: { misbehave: () => ({ kind: 'slow', delayMs: 20 }) },
      tasksApi: { concurrency: 3 },
    })
    const ids = await track(20)
    await pass(STALE_MS)
    expect(ids.map((id) => provider.seen.pollsOf(id))).toEqual(ids.map(() => 1))
    expect(provider.seen.maxOpenRequests).toBe(3)
  })

  test('is not called for any of its tasks during the time of its Retry-After', async () => {
    const { provider, track, pass, dueInMs, polled } = await startSourcePoller({
      provider: { misbehave: (_, nth) => (nth === 1 ? { kind: 'rate-limited', retryAfterSeconds: 120 } : undefined) },
      tasksApi: { concurrency: 1 },
    })
    const [first = '', second = ''] = await track(2)
    await pass(STALE_MS)
    expect(polled).toEqual(['ai/rate_limited'])
    expect(provider.seen.polls.size).toBe(1)
    const asked = provider.seen.pollsOf(first) === 1 ? first : second
    expect(await dueInMs(asked)).toBeGreaterThanOrEqual(120_000)
    await pass(119_999)
    expect(polled).toHaveLength(1)
    await pass(1)
    expect(polled).toEqual(['ai/rate_limited', 'ai/rate_limited'])
  })

  test('is not called for an hour where its Retry-After is longer, in however many digits', async () => {
    const { track, pass, dueInMs } = await startSourcePoller({
      provider: { misbehave: () => ({ kind: 'rate-limited', retryAfterSeconds: 9_999_999_999 }) },
      maxWaitMs: 0,
    })
    const [id = ''] = await track()
    await pass()
    expect(await dueInMs(id)).toBeGreaterThanOrEqual(3_600_000)
  })

  test.each([
    ['as seconds', 'seconds'],
    ['as a date', 'date'],
  ] as const)('may send Retry-After %s', async (_, as) => {
    const { track, pass, dueInMs } = await startSourcePoller({
      provider: { misbehave: () => ({ kind: 'rate-limited', retryAfterSeconds: 3_000, as }) },
      maxWaitMs: 0,
    })
    const [id = ''] = await track()
    await pass()
    expect(Math.abs((await dueInMs(id)) - 3_000_000)).toBeLessThan(10_000)
  })

  test.each([
    [{ kind: 'status', status: 404 }, 'not_found'],
    [{ kind: 'status', status: 401 }, 'unauthorized'],
    [{ kind: 'status', status: 500 }, 'server_error'],
    [{ kind: 'status', status: 400 }, 'invalid'],
    [{ kind: 'garbage', form: 'text' }, 'invalid'],
    [{ kind: 'garbage', form: 'wrong-shape' }, 'invalid'],
    [{ kind: 'garbage', form: 'other-task' }, 'invalid'],
    [{ kind: 'redirect' }, 'invalid'],
    [{ kind: 'endless' }, 'too_large'],
    [{ kind: 'silence' }, 'timeout'],
    [{ kind: 'silence', after: 'headers' }, 'timeout'],
    [{ kind: 'reset' }, 'broken'],
    [{ kind: 'truncated' }, 'broken'],
  ] as const)('is called again after the answer %j, which ends no task', async (fault, outcome) => {
    const { provider, track, pass, task, polled, dueInMs } = await startSourcePoller({
      maxWaitMs: 0,
      provider: { misbehave: (_, nth) => (nth === 1 ? fault : undefined) },
    })
    const [id = ''] = await track()
    provider.finish(id, 'completed')
    await pass()
    expect(polled).toEqual([`ai/${outcome}`])
    expect(await task(id)).toMatchObject({ status: 'pending', polls: 1, lastError: expect.stringMatching(/\w/) })
    expect(JSON.stringify(await task(id))).not.toContain('sk-')
    await pass(await dueInMs(id))
    expect(await task(id)).toMatchObject({ status: 'completed', resolvedBy: 'poll' })
    expect(provider.seen.redirectHits).toBe(0)
  })
})

test('tasks that the provider refuses one by one do not delay the others', async () => {
  const { provider, track, pass, tasks, task } = await startSourcePoller({
    maxWaitMs: 0,
    provider: { misbehave: (id) => (id.startsWith('wrong') ? { kind: 'status', status: 400 } : undefined) },
  })
  for (let n = 0; n < 20; n++)
    await tasks.service.begin({ source: 'ai', work: { taskId: provider.create(`wrong_${n}`) } })
  const [id = ''] = await track()
  provider.finish(id, 'completed')
  await pass()
  expect(await task(id)).toMatchObject({ status: 'completed' })
  expect(tasks.poller.bySource.get('ai')?.breaker()).toBe('closed')
  expect(await task('wrong_7')).toMatchObject({ lastError: 'the provider answered 400' })
})

test('a source with a limit of polls per second spreads its polls over the seconds', async () => {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const tasksOf = { ...ai.api.tasks, pollsPerSecond: 20 }
  const { tasks } = await startTaskRig({
    sources: [{ call: callerOf(provider.url), provider: { ...ai, api: { ...ai.api, tasks: tasksOf } } }],
  })
  const ids = Array.from({ length: 30 }, () => provider.create())
  for (const id of ids) provider.finish(id, 'completed')
  await Promise.all(ids.map((taskId) => tasks.service.begin({ source: 'ai', work: { taskId } })))
  await tasks.poller.pass()
  const times = ids.flatMap((id) => provider.seen.pollTimesMs(id)).toSorted((a, b) => a - b)
  expect(times).toHaveLength(30)
  // Twenty at once, and the other ten at the pace of one in 50 ms; the first one's connection takes its time.
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(250)
})

test('a provider that hangs delays no other source', async () => {
  const hanging = await startFakeProvider({ misbehave: () => ({ kind: 'silence' }) })
  const sound = await startFakeProvider()
  for (const provider of [hanging, sound]) onTestFinished(() => provider.close())
  const { tasks, store } = await startTaskRig({
    sources: [
      { name: 'hanging', call: callerOf(hanging.url, 15_000) },
      { name: 'sound', call: callerOf(sound.url, 15_000) },
    ],
  })
  for (let n = 0; n < 40; n++) await tasks.service.begin({ source: 'hanging', work: { taskId: hanging.create() } })
  const id = sound.create()
  sound.finish(id, 'completed')
  tasks.poller.start()
  await eventually(
    async () => hanging.seen.polls.size,
    (open) => open > 0,
  )
  await tasks.service.begin({ source: 'sound', work: { taskId: id } })
  await eventually(
    () => store.task('sound', id),
    (task) => task?.status === 'completed',
    5_000,
  )
  // Stopping breaks off what hangs, and lets its tasks go.
  await tasks.poller.stop()
  expect((await store.claimTasks({ source: 'hanging', staleLimit: 100, expiredLimit: 0, leaseMs: 1_000 })).length).toBe(
    40,
  )
})

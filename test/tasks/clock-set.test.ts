import { expect, onTestFinished, test } from 'vitest'
import ai from '../../src/providers/ai/provider.ts'
import { BREAKER_FAILURES, BREAKER_PAUSE_MS } from '../../src/tasks/circuit-breaker.ts'
import { type FakeProviderOptions, startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

const DAY_MS = 86_400_000
const RETRY_AFTER_SECONDS = 60
const WAITS = { retryMs: DAY_MS, retryAfterMs: DAY_MS, pollMs: DAY_MS, leaseMs: DAY_MS, isTrusted: true }

test.each<[string, number, FakeProviderOptions['misbehave']]>([
  ['answers with errors', BREAKER_PAUSE_MS, () => ({ kind: 'status', status: 500 })],
  [
    'sends Retry-After',
    RETRY_AFTER_SECONDS * 1_000,
    () => ({ kind: 'rate-limited', retryAfterSeconds: RETRY_AFTER_SECONDS }),
  ],
])(
  'a provider that %s while the clock is ahead is polled again after its pause once the clock is set right',
  async (_, pauseMs, misbehave) => {
    let isWell = false
    const provider = await startFakeProvider({ misbehave: (...poll) => (isWell ? undefined : misbehave?.(...poll)) })
    onTestFinished(() => provider.close())
    let [wallMs, monotonicMs] = [Date.now() + 40 * DAY_MS, 0]
    const { tasks, store } = await startTaskRig({
      clock: () => wallMs,
      monotonicMs: () => monotonicMs,
      random: () => 0,
      sources: [{ call: callerOf(provider.url), provider: ai }],
    })
    const ids = Array.from({ length: BREAKER_FAILURES }, () => provider.create())
    for (const id of ids) provider.finish(id, 'completed')
    await Promise.all(ids.map((taskId) => tasks.service.begin({ source: 'ai', work: { taskId } })))
    await tasks.poller.pass()

    isWell = true
    wallMs -= 40 * DAY_MS
    await store.repairTimes(WAITS)
    const completed = async () => (await store.counts()).tasks.completed
    for (const afterMs of [pauseMs / 2, pauseMs]) {
      expect(await completed()).toBe(0)
      wallMs += afterMs
      monotonicMs += afterMs
      await tasks.poller.pass()
    }
    expect(await completed()).toBe(ids.length)
  },
)

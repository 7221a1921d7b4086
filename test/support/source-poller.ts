import { onTestFinished } from 'vitest'

import type { TaskApi } from '../../src/domain/provider.ts'
import ai from '../../src/providers/ai/provider.ts'

import { type FakeProviderOptions, startFakeProvider } from './fake-provider.ts'
import { callerOf, startTaskRig, type TaskRigOptions } from './task-rig.ts'

type Given = Partial<Omit<TaskRigOptions, 'sources' | 'clock'>> & {
  readonly provider?: FakeProviderOptions
  readonly maxAnswerBytes?: number
  readonly tasksApi?: Partial<TaskApi>
}

/** One source, a clock that only the test moves, and passes that only the test makes. */
export async function startSourcePoller({
  provider: options = {},
  tasksApi = {},
  maxAnswerBytes,
  ...rest
}: Given = {}) {
  const provider = await startFakeProvider(options)
  onTestFinished(() => provider.close())
  const tasksOf = { ...ai.api.tasks, pollsPerSecond: 1_000, ...tasksApi }
  let nowMs = Date.now()
  const rig = await startTaskRig({
    random: () => 0,
    pollIntervalMs: 1_000,
    maxWaitMs: 300_000,
    ...rest,
    clock: () => nowMs,
    sources: [
      { call: callerOf(provider.url, 2_000, maxAnswerBytes), provider: { ...ai, api: { ...ai.api, tasks: tasksOf } } },
    ],
  })
  const track = async (count = 1): Promise<string[]> => {
    const ids = Array.from({ length: count }, () => provider.create())
    await Promise.all(ids.map((taskId) => rig.tasks.service.begin({ source: 'ai', work: { taskId } })))
    return ids
  }
  return {
    ...rig,
    provider,
    track,
    pass: (afterMs = 0) => {
      nowMs += afterMs
      return rig.tasks.poller.pass()
    },
    /** How long after now the task is next asked for. */
    dueInMs: async (id: string) => Number((await rig.store.task('ai', id))?.nextPollAtMs) - nowMs,
    task: (id: string) => rig.store.task('ai', id),
  }
}

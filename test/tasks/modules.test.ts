import { expect, onTestFinished, test } from 'vitest'
import type { Provider, TaskApi } from '../../src/domain/provider.ts'
import ai from '../../src/providers/ai/provider.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

/** What a module of a user's own says of every answer. */
const answering = (answer: unknown): Partial<TaskApi> => ({ read: () => answer as never })

test.each<[string, Partial<TaskApi>]>([
  [
    'throws in poll',
    {
      poll: () => {
        throw new Error('no')
      },
    },
  ],
  [
    'throws in read',
    {
      read: () => {
        throw new Error('no')
      },
    },
  ],
  ['has a status of its own', answering({ status: 'succeeded', word: 'succeeded', event: { type: 'x', data: {} } })],
  ['says that a task has expired', answering({ status: 'expired', word: 'x', event: { type: 'x', data: {} } })],
  ['names no type', answering({ status: 'completed', word: 'x', event: { data: {} } })],
  [
    'names a type that no store can carry',
    answering({ status: 'completed', word: 'x', event: { type: 'x\0', data: {} } }),
  ],
  [
    'takes the type of an expiry',
    answering({ status: 'completed', word: 'x', event: { type: 'task.expired', data: {} } }),
  ],
  ['has no event', answering({ status: 'completed', word: 'x' })],
  ['gives a status that is an object', answering({ status: 'pending', word: { a: 1 } })],
  ['gives a status that is a function', answering({ status: 'pending', word: () => 1 })],
  ['gives null', answering(null)],
  ['gives a promise', answering(Promise.resolve())],
])(
  'a provider module that %s ends no task: the task shows the error, and is polled less and less often',
  async (_, api) => {
    const fake = await startFakeProvider()
    onTestFinished(() => fake.close())
    let nowMs = Date.now()
    const { tasks, store, polled } = await startTaskRig({
      clock: () => nowMs,
      random: () => 0,
      sources: [{ call: callerOf(fake.url), provider: withTasks(api) }],
    })
    const id = fake.create()
    // By its store alone: the task service refuses an id that no provider can be asked for.
    await store.track({
      uid: '01a211d2-cb8e-7002-a881-30017c572300',
      source: 'ai',
      id,
      maxWaitMs: 0,
      deadlineMs: 86_400_000,
    })
    await tasks.poller.pass()
    nowMs += 40
    await tasks.poller.pass()
    expect(await store.task('ai', id)).toMatchObject({
      status: 'pending',
      polls: 2,
      lastError: expect.stringMatching(/\w/),
    })
    expect(polled).toEqual(['ai/invalid', 'ai/invalid'])
    expect((await store.counts()).tasks.pending).toBe(1)
  },
)

const withTasks = (tasks: Partial<TaskApi>): Provider => ({
  ...ai,
  api: { ...ai.api, tasks: { ...ai.api.tasks, ...tasks } },
})

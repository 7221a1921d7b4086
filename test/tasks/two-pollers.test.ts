import { expect, onTestFinished, test } from 'vitest'
import { startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'

async function twoPollers(order: 'first answers last' | 'first answers in time') {
  const held = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const call = callerOf(provider.url)
  let nowMs = Date.now()
  const clock = (): number => nowMs
  const slow = await startTaskRig({
    clock,
    leaseMs: 1_000,
    sources: [
      {
        call: async (request, signal) => {
          const result = await call(request, signal)
          asked.resolve()
          await held.promise
          // The same, in other bytes: no duplicate by which it could be told.
          return result.ok ? { ...result, body: Buffer.concat([result.body, Buffer.from('\n')]) } : result
        },
      },
    ],
  })
  const quick = await startTaskRig({ clock, leaseMs: 1_000, store: slow.store, sources: [{ call }] })
  const id = provider.create('contested')
  provider.finish(id, 'completed')
  await slow.tasks.service.begin({ source: 'ai', work: { taskId: id } })

  const passing = slow.tasks.poller.pass()
  await asked.promise
  if (order === 'first answers last') nowMs += 1_001
  await quick.tasks.poller.pass()
  held.resolve()
  await passing
  return { slow, quick, id, task: await slow.store.task('ai', id) }
}

test('a poller whose lease has run out finds the task ended by the next one, and stores nothing', async () => {
  const { slow, quick, id, task } = await twoPollers('first answers last')
  expect(quick.polled).toEqual(['ai/terminal'])
  expect(slow.polled).toEqual(['ai/late'])
  expect(task).toMatchObject({ status: 'completed', resolvedBy: 'poll' })
  const { items } = await slow.store.events({ task: id }, { limit: 10 })
  expect(items.map(({ uid }) => uid)).toEqual([task?.eventUid])
  expect((await slow.store.events({}, { limit: 10 })).items).toHaveLength(1)
  expect(slow.resolved).toEqual(['ai/poll'])
})

test('while one poller has leased a task, the other one does not poll it', async () => {
  const { slow, quick, task } = await twoPollers('first answers in time')
  expect(quick.polled).toEqual([])
  expect(slow.polled).toEqual(['ai/terminal'])
  expect(task).toMatchObject({ status: 'completed', polls: 1 })
})

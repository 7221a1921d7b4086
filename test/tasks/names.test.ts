import type { lookup as getaddrinfo } from 'node:dns'
import { expect, onTestFinished, test } from 'vitest'
import { callerOf } from '../outbound/loopback-server.ts'
import { startLookup } from '../outbound/resolver.ts'
import { eventually } from '../support/eventually.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { startTaskRig } from '../support/task-rig.ts'

const WHILE_TESTED_MS = 60_000

test('forty sources whose host names hang do not delay sixty others', async () => {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const { port } = new URL(provider.url)
  const hanging = (() => {}) as unknown as typeof getaddrinfo
  // Some in the name servers, some where these do not know them and the system hangs.
  const { lookup } = await startLookup(
    (name) => (name.startsWith('hung') ? 'silent' : name.startsWith('gone') ? undefined : ['127.0.0.1']),
    { deadlineMs: WHILE_TESTED_MS, system: hanging },
  )
  const timeouts = { connectMs: WHILE_TESTED_MS, totalMs: WHILE_TESTED_MS }
  const names = Array.from({ length: 100 }, (_, n) => `${n % 5 === 0 ? 'hung' : n % 5 === 1 ? 'gone' : 'good'}-${n}`)
  const { tasks, polled } = await startTaskRig({
    sources: names.map((name) => ({
      name,
      call: callerOf(`http://${name}.internal:${port}`, { lookup, timeouts }).call,
    })),
  })
  for (const source of names) {
    const taskId = provider.create()
    if (source.startsWith('good')) provider.finish(taskId, 'completed')
    await tasks.service.begin({ source, work: { taskId } })
  }
  tasks.poller.start()
  await eventually(
    async () => polled.length,
    (count) => count >= 60,
    20_000,
  )
  expect(polled.toSorted()).toEqual(
    names
      .filter((name) => name.startsWith('good'))
      .map((name) => `${name}/terminal`)
      .toSorted(),
  )
})

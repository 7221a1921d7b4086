import { expect, test } from 'vitest'
import type { CallProvider } from '../../src/domain/outbound.ts'
import { startTaskRig } from '../support/task-rig.ts'

const TERMINAL = JSON.stringify({ task_id: 't1', status: 'completed', result: 1 })

test.each([
  ['to a poll', 86_400_000],
  ['to the last poll at the deadline', 1],
])('the memory of a terminal answer %s is given back only after the answer is stored', async (_, deadlineMs) => {
  let nowMs = Date.now()
  const pollsCounted: number[] = []
  const call: CallProvider = async (_request, _signal, { hold } = {}) => {
    hold?.defer(() => pollsCounted.push(polled.length))
    return { ok: true, status: 200, headers: {}, body: Buffer.from(TERMINAL) }
  }
  const { tasks, polled } = await startTaskRig({ sources: [{ call }], clock: () => nowMs, deadlineMs })
  await tasks.service.begin({ source: 'ai', work: { taskId: 't1' } })
  nowMs += 10
  await tasks.poller.pass()
  expect(polled).toEqual(['ai/terminal'])
  expect(pollsCounted).toEqual([1])
})

import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import type { LeasedTask } from '../../src/domain/task.ts'
import { openStore } from '../../src/storage/open.ts'
import { askedEvent, leaseOf, newTask } from '../contract/task-samples.ts'
import { damageFirstLeaf } from '../support/postgres/damage.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

const TASKS = 100
const ASKED = { kind: 'poll', by: 'poller', atMs: 0, durationMs: 5 } as const

const postponed = ({ uid, lease }: LeasedTask) => ({
  uid,
  lease,
  dueAtMs: Date.now(),
  outcome: { error: 'no answer '.repeat(30), asked: ASKED },
})

async function open(server: PostgresServer): Promise<OpenStore> {
  const store = await openStore(server.url)
  onTestFinished(() => store.close())
  return store
}

async function damageQuestions(server: PostgresServer): Promise<void> {
  const [row] = await server.query<{ path: string }>(
    "SELECT pg_relation_filepath('holdfast.task_question'::regclass) AS path",
  )
  await server.stop()
  damageFirstLeaf(join(server.dataDirectory, row?.path ?? ''))
  await server.start()
}

test('a task whose questions are on a damaged page is postponed, ends and is deleted all the same', async () => {
  const server = await startPostgres()
  onTestFinished(() => server.remove())
  const before = await openStore(server.url)
  const tasks = Array.from({ length: TASKS }, () => newTask())
  for (const task of tasks) {
    await before.track(task)
    await before.postpone([postponed(await leaseOf(before, task.uid))])
  }
  await before.close()
  await damageQuestions(server)

  const store = await open(server)
  for (const { uid } of tasks) expect(await store.postpone([postponed(await leaseOf(store, uid))])).toEqual([true])
  const counts = await Promise.all(tasks.map(async ({ uid }) => (await store.questions(uid)).length))
  expect(counts.filter((count) => count === 2).length).toBeGreaterThan(TASKS / 4)
  expect(counts).toContain(0)
  for (const { uid } of tasks) {
    const leased = await leaseOf(store, uid)
    const question = { ...ASKED, outcome: 'ended' } as const
    const taskLease = { uid, lease: leased.lease, by: 'poll', question } as const
    const event = askedEvent(leased, { receivedAtMs: Date.now(), taskLease })
    expect(await store.append(event)).toMatchObject({ outcome: 'accepted' })
  }
  expect(await store.pruneTasks(Date.now() + 60_000, TASKS)).toBe(TASKS)
  expect(store.warnings()).toEqual([expect.stringContaining('task_question')])
})

import { expect, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import type { LeasedTask } from '../../src/domain/task.ts'
import { allPages, newEvent, START_MS } from '../contract/store-samples.ts'
import { askedEvent, DEADLINE_MS, newTask, taskClaim } from '../contract/task-samples.ts'
import { zeroLeaf } from './damaged-database.ts'
import { openAt, ownPath } from './database-file.ts'

const TASKS = 1_000

/** A store of tasks of which a page was zeroed while it was closed, opened again `laterMs` later. */
async function damaged(laterMs: number): Promise<{ store: OpenStore; uids: readonly string[] }> {
  const path = ownPath()
  const first = await openAt(path)
  const tasks = Array.from({ length: TASKS }, () => newTask())
  await Promise.all(tasks.map((task) => first.track(task)))
  await first.close()
  zeroLeaf(path, 'task', 1)
  return { store: await openAt(path, START_MS + laterMs), uids: tasks.map(({ uid }) => uid) }
}

/**
 * A page holds a hundred at most. Those on the pages beside it cannot be leased either where they would take more room: SQLite
 * shares that out among neighbours. One call goes around some dozens.
 */
const CALLS = 8

async function claimAll(store: OpenStore): Promise<readonly LeasedTask[]> {
  const claimed: LeasedTask[] = []
  for (let calls = 0; calls < CALLS; calls++)
    claimed.push(...(await store.claimTasks(taskClaim({ staleLimit: TASKS, expiredLimit: TASKS, leaseMs: 60_000 }))))
  return claimed
}

function expectMost(count: number): void {
  expect(count).toBeGreaterThan(TASKS / 2)
  expect(count).toBeLessThan(TASKS)
}

test.each([
  ['due for a poll', 2_000],
  ['past their deadline', DEADLINE_MS + 1],
])(
  'a damaged page of tasks costs only the tasks on it or right beside it: other tasks that are %s are claimed',
  async (_, laterMs) => {
    const { store, uids } = await damaged(laterMs)
    const claimed = await claimAll(store)
    expectMost(claimed.length)
    expect(uids).toEqual(expect.arrayContaining(claimed.map(({ uid }) => uid)))
    const given = claimed.map(({ uid, lease }) => ({ uid, lease, dueAtMs: START_MS + laterMs }))
    expect(new Set(await store.postpone(given))).toEqual(new Set([true]))
    expect(store.warnings()).toEqual([expect.stringContaining('the database is damaged')])
    expect(await store.append(newEvent())).toMatchObject({ outcome: 'accepted' })
  },
)

test('tasks that a killed process had leased are free again, except those on a damaged page', async () => {
  const path = ownPath()
  const first = await openAt(path)
  await Promise.all(Array.from({ length: TASKS }, () => first.track(newTask())))
  const later = START_MS + 2_000
  await first.close()
  const second = await openAt(path, later)
  expect(await second.claimTasks(taskClaim({ staleLimit: TASKS, leaseMs: 60_000 }))).toHaveLength(TASKS)
  await second.close()
  zeroLeaf(path, 'task', 1)
  const third = await openAt(path, later)
  expectMost((await claimAll(third)).length)
})

test.each([
  ['all tasks', {}],
  ['the pending tasks of a source', { source: 'stripe', status: 'pending' }],
] as const)(
  'a list of %s shows the tasks that can be read when a page is damaged, newest first, page by page',
  async (_, filter) => {
    const { store, uids } = await damaged(0)
    const listed = (await allPages((page) => store.tasks(filter, page), 30)).map(({ uid }) => uid)
    expectMost(listed.length)
    const seen = new Set(listed)
    expect(listed.at(-1)).toBe(uids.at(0))
    expect(listed).toEqual(uids.filter((uid) => seen.has(uid)).reverse())
  },
)

test('pruneTasks deletes ended tasks, except those on a damaged page', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const tasks = Array.from({ length: TASKS }, () => newTask())
  await Promise.all(tasks.map((task) => first.track(task)))
  await Promise.all(tasks.map(({ uid }) => first.cancelTask(uid)))
  await first.close()
  zeroLeaf(path, 'task', 1)
  const store = await openAt(path)
  let gone = 0
  for (let calls = 0; calls < CALLS; calls++) gone += await store.pruneTasks(START_MS + 1, TASKS)
  expectMost(gone)
  expect(await store.pruneTasks(START_MS + 1, TASKS)).toBe(0)
})

test('a task whose questions are on a damaged page is postponed and ends all the same', async () => {
  const path = ownPath()
  const first = await openAt(path)
  const tasks = Array.from({ length: 200 }, () => newTask({ maxWaitMs: 0 }))
  const asked = { kind: 'poll', by: 'poller', atMs: START_MS, durationMs: 5 } as const
  const outcome = { error: 'no answer '.repeat(30), asked }
  await Promise.all(tasks.map((task) => first.track(task)))
  const postponeAll = async (store: OpenStore) => {
    const claimed = await store.claimTasks(taskClaim({ staleLimit: TASKS }))
    const results: boolean[] = []
    for (const { uid, lease } of claimed)
      results.push(...(await store.postpone([{ uid, lease, dueAtMs: START_MS, outcome }])))
    return results
  }
  expect(await postponeAll(first)).toEqual(tasks.map(() => true))
  await first.close()
  zeroLeaf(path, 'task_question', 1)
  const store = await openAt(path)
  expect(await postponeAll(store)).toEqual(tasks.map(() => true))
  const counts = (await Promise.all(tasks.map(({ uid }) => store.questions(uid)))).map(({ length }) => length)
  expect(counts.filter((count) => count === 2).length).toBeGreaterThan(tasks.length / 2)
  expect(counts).toContain(0)
  for (const leased of await store.claimTasks(taskClaim({ staleLimit: TASKS }))) {
    const question = { ...asked, outcome: 'ended' } as const
    const taskLease = { uid: leased.uid, lease: leased.lease, by: 'poll', question } as const
    expect(await store.append(askedEvent(leased, { taskLease }))).toMatchObject({ outcome: 'accepted' })
  }
  expect(store.warnings()).toEqual([expect.stringContaining('the database is damaged')])
})

test('the times of tasks that a clock ahead has written are set back, except those of questions on a damaged page', async () => {
  const path = ownPath()
  const aheadMs = START_MS + 30 * 86_400_000
  const first = await openAt(path, aheadMs)
  const tasks = Array.from({ length: 100 }, () => newTask({ maxWaitMs: 0 }))
  await Promise.all(tasks.map((task) => first.track(task)))
  const asked = { kind: 'poll', by: 'poller', atMs: aheadMs, durationMs: 5 } as const
  const outcome = { error: 'no answer '.repeat(30), asked }
  const claimed = await first.claimTasks(taskClaim({ staleLimit: TASKS }))
  await first.postpone(claimed.map(({ uid, lease }) => ({ uid, lease, dueAtMs: aheadMs, outcome })))
  await first.close()
  zeroLeaf(path, 'task_question', 1)
  const store = await openAt(path)
  const waits = { retryMs: 0, retryAfterMs: 0, pollMs: 0, leaseMs: 0, isTrusted: true }
  expect(await store.repairTimes(waits)).toMatchObject({ tasks: tasks.length })
  const times = (await Promise.all(tasks.map(({ uid }) => store.questions(uid)))).flat().map(({ atMs }) => atMs)
  expect(new Set(times)).toEqual(new Set([START_MS]))
  expect(times.length).toBeLessThan(tasks.length)
})

import { describe, expect, test } from 'vitest'
import { MAX_PAGE_SIZE } from '../../src/domain/limits.ts'
import { newUid } from '../../src/domain/names.ts'
import { TASK_STATUSES, type TaskStatus } from '../../src/domain/task.ts'
import type { TaskFilter, TaskPostponement } from '../../src/domain/task-store.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, codeOf, expectAll, newEvent, START_MS } from './store-samples.ts'
import { askedEvent, endEvent, leaseOf, newTask, taskBy, trackLeased, trackSubmission } from './task-samples.ts'

export function describeTaskLists(fixture: Fixture): void {
  describeTaskPages(fixture)
  describeFindTask(fixture)
  describeActivity(fixture)
  describeTaskCounts(fixture)
  describePruneTasks(fixture)
}

function describeTaskPages({ store, pass }: Fixture): void {
  const names = new Map<string, string>()
  const fill = async (): Promise<void> => {
    names.clear()
    const keep = (name: string, { uid }: { uid: string }) => names.set(uid, name)
    for (const [id, source] of [
      ['one', 'stripe'],
      ['two', 'eu'],
    ] as const)
      keep(id, (await store().track(newTask({ id, source }))).task)
    await store().append(endEvent({ source: 'eu', id: 'two' }))
    keep('three', await trackSubmission(store()))
    pass(10)
    const refused = await trackSubmission(store(), { source: 'eu' })
    await store().submitted(refused.uid, refused.lease, { refused: 'no' })
    keep('four', refused)
    keep('five', (await store().track(newTask({ id: 'five' }))).task)
    keep('six', (await store().track(newTask({ id: 'six', source: 'eu' }))).task)
    for (const [uid, name] of names) if (name === 'five' || name === 'two') await store().cancelTask(uid)
  }
  const listed = async (filter: TaskFilter, limit: number) =>
    (await allPages((page) => store().tasks(filter, page), limit)).map(({ uid }) => names.get(uid))

  describe('the list of tasks', () => {
    const cases: readonly [TaskFilter, readonly string[]][] = [
      [{}, ['six', 'five', 'four', 'three', 'two', 'one']],
      [{ source: 'stripe' }, ['five', 'three', 'one']],
      [{ source: 'nowhere' }, []],
      [{ status: 'submitting' }, ['three']],
      [{ status: 'pending' }, ['six', 'one']],
      [{ status: 'completed' }, ['two']],
      [{ status: 'failed' }, ['four']],
      [{ status: 'cancelled' }, ['five']],
      [{ status: 'expired' }, []],
      [{ source: 'eu', status: 'pending' }, ['six']],
      [{ staleAtMs: 0 }, []],
      [{ staleAtMs: Number.MAX_SAFE_INTEGER }, ['six', 'three', 'one']],
      [{ staleAtMs: Number.MAX_SAFE_INTEGER, source: 'eu' }, ['six']],
      [{ source: 'stripe', status: 'completed' }, []],
    ]
    test('has the tasks that match its filter, newest first', async () => {
      await fill()
      await expectAll(cases, async (filter) => [await listed(filter, 1), await listed(filter, 50)])
    })

    test('has each task as a read of that task gives it', async () => {
      await fill()
      const items = await allPages((page) => store().tasks({}, page))
      for (const task of items) expect(await store().task(task.source, task.uid)).toEqual(task)
    })

    test('has the later tracked of two tasks begun together first, and a cursor goes on when newer tasks have come', async () => {
      const ids = Array.from({ length: 11 }, (_, n) => `task ${n}`)
      for (const id of ids) await store().track(newTask({ id }))
      const { items, nextCursor = '' } = await store().tasks({}, { limit: 4 })
      await store().track(newTask())
      const rest = await store().tasks({}, { limit: 50, cursor: nextCursor })
      expect([...items, ...rest.items].map(({ id }) => id)).toEqual(ids.toReversed())
      expect(rest.nextCursor).toBeUndefined()
    })

    test('with a cursor that no store gave, or a limit out of bounds, is invalid_request', async () => {
      for (const cursor of ['', 'nonsense', '123', 'dGFza3M', 'AAAA:::', '-1', "' OR 1=1"])
        expect(await codeOf(store().tasks({}, { limit: 2, cursor }))).toBe('invalid_request')
      for (const limit of [0, -1, 1.5, MAX_PAGE_SIZE + 1, Number.NaN])
        expect(await codeOf(store().tasks({}, { limit }))).toBe('invalid_request')
    })

    test('refuses the cursors of other lists, and they refuse its own', async () => {
      for (let n = 0; n < 3; n++) await store().track(newTask())
      for (let n = 0; n < 3; n++) await store().append(newEvent())
      const [tasks, ...others] = [
        await store().tasks({}, { limit: 1 }),
        await store().events({}, { limit: 1 }),
        await store().deliveries({}, { limit: 1 }),
      ].map(({ nextCursor = '' }) => ({ limit: 1, cursor: nextCursor }))
      for (const page of others) expect(await codeOf(store().tasks({}, page))).toBe('invalid_request')
      if (tasks === undefined) throw new Error('a page of tasks was expected')
      expect(await codeOf(store().events({}, tasks))).toBe('invalid_request')
      expect(await codeOf(store().deliveries({}, tasks))).toBe('invalid_request')
    })
  })
}

function describeFindTask({ store }: Fixture): void {
  test('reading a task finds it at its own source only, by the provider’s id and by the uid', async () => {
    const [here, there] = [newTask({ id: 'same' }), newTask({ id: 'same', source: 'eu' })]
    for (const task of [here, there]) await store().track(task)
    for (const { uid, source } of [here, there]) {
      for (const id of ['same', uid, uid.toUpperCase()]) expect((await store().task(source, id))?.uid).toBe(uid)
    }
    for (const id of [there.uid, 'SAME', '', newUid()]) expect(await store().task('stripe', id)).toBeUndefined()
    expect(await store().task('nowhere', 'same')).toBeUndefined()
  })
}

function describeActivity({ store, now, pass }: Fixture): void {
  test('`activity` counts the tasks that were due to be over before, and whose last poll failed', async () => {
    const stuck = async (source = 'stripe') => (await store().activity(source, now())).stuck
    const poll = async (uid: string, outcome: TaskPostponement['outcome']) => {
      const { lease } = await leaseOf(store(), uid)
      await store().postpone([{ uid, lease, dueAtMs: now(), ...(outcome && { outcome }) }])
    }
    const failed = { error: 'the provider answered 500' }
    const tasks = [
      newTask({ maxWaitMs: 30 }),
      newTask({ maxWaitMs: 20 }),
      newTask({ maxWaitMs: 90_000, deadlineMs: 99_000 }),
    ]
    for (const task of tasks) await store().track(task)
    const [later, first] = tasks.map(({ uid }) => uid) as [string, string]
    pass(31)
    expect(await stuck()).toBeUndefined()
    for (const { uid } of tasks) await poll(uid, failed)
    expect(await stuck()).toEqual({ count: 2, staleAtMs: START_MS + 20 })
    expect(await stuck('eu')).toBeUndefined()
    expect((await store().activity('stripe', START_MS + 30)).stuck).toEqual({ count: 1, staleAtMs: START_MS + 20 })
    await poll(first, { providerStatus: 'processing' })
    expect(await stuck()).toEqual({ count: 1, staleAtMs: START_MS + 30 })
    await store().cancelTask(later)
    expect(await stuck()).toBeUndefined()
  })

  test('`activity` gives the time of a source’s last webhook, and the number of polls that were needed since', async () => {
    expect(await store().activity('stripe', 0)).toEqual({ lastWebhookAtMs: undefined, recovered: 0 })
    const came = [
      { origin: 'webhook', receivedAtMs: START_MS + 20 },
      { origin: 'webhook', receivedAtMs: START_MS + 10, type: 'invoice.created' },
      { origin: 'webhook', receivedAtMs: START_MS + 40, source: 'eu' },
      { origin: 'cli', receivedAtMs: START_MS + 30 },
    ] as const
    for (const event of came) await store().append(newEvent(event))
    const recover = async (by: 'poll' | 'expiry', source = 'stripe') =>
      store().append(askedEvent(await trackLeased(store(), { source }), { receivedAtMs: now() }, by))
    for (const by of ['poll', 'expiry', 'poll'] as const) {
      pass(100)
      await recover(by)
    }
    await recover('poll', 'eu')
    const hooked = newTask()
    await store().track(hooked)
    await store().append(endEvent(hooked, { receivedAtMs: START_MS - 5 }))

    const at = (ms: number) => store().activity('stripe', START_MS + ms)
    expect(await at(0)).toEqual({ lastWebhookAtMs: START_MS + 20, recovered: 2 })
    expect([await at(100), await at(101), await at(300), await at(301)].map(({ recovered }) => recovered)).toEqual([
      2, 1, 1, 0,
    ])
    expect(await store().activity('eu', 0)).toEqual({ lastWebhookAtMs: START_MS + 40, recovered: 1 })
    expect(await store().activity('nowhere', 0)).toEqual({ lastWebhookAtMs: undefined, recovered: 0 })
  })
}

function describeTaskCounts({ store }: Fixture): void {
  test('`counts` gives the number of tasks in each status, whatever happens to them', async () => {
    const expected = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0])) as Record<TaskStatus, number>
    const expectMove = async (from: TaskStatus | undefined, to: TaskStatus | undefined): Promise<void> => {
      if (from !== undefined) expected[from]--
      if (to !== undefined) expected[to]++
      // A store may answer from a cache of a few seconds.
      await expect.poll(async () => (await store().counts()).tasks, { timeout: 5_000 }).toEqual(expected)
    }
    const late = newTask()
    await store().append(endEvent(late))
    await store().track(late)
    await expectMove(undefined, 'completed')
    for (const by of ['poll', 'expiry'] as const) {
      const leased = await trackLeased(store())
      await expectMove(undefined, 'pending')
      const status = by === 'poll' ? 'failed' : 'expired'
      await store().append(askedEvent(leased, { taskEnd: { status, word: status } }, by))
      await expectMove('pending', status)
      await store().append(askedEvent(leased))
      await store().append(endEvent(leased))
      await store().cancelTask(leased.uid)
      await expectMove(undefined, undefined)
    }
    for (const submission of [{ id: 'given' }, { id: 'given' }, { refused: 'no' }]) {
      const { uid, lease } = await trackSubmission(store())
      await expectMove(undefined, 'submitting')
      await store().submitted(uid, '', submission)
      const task = await store().submitted(uid, lease, submission)
      await expectMove('submitting', task?.status)
    }
    const given = await store().task('stripe', 'given')
    await store().cancelTask(given?.uid ?? '')
    await expectMove('pending', 'cancelled')
    const { uid } = await trackSubmission(store())
    await store().cancelTask(uid)
    await expectMove(undefined, 'cancelled')
  })
}

function describePruneTasks({ store, now, pass }: Fixture): void {
  describe('`pruneTasks`', () => {
    test('deletes tasks that ended before the time, up to the limit', async () => {
      const tasks = Array.from({ length: 5 }, () => newTask())
      for (const task of tasks) {
        await store().track(task)
        await store().cancelTask(task.uid)
        pass(10)
      }
      expect(await store().pruneTasks(START_MS, 100)).toBe(0)
      expect(await store().pruneTasks(START_MS + 30, 2)).toBe(2)
      expect(await store().pruneTasks(START_MS + 30, 2)).toBe(1)
      const left = await allPages((page) => store().tasks({}, page))
      expect(left.map(({ uid }) => uid)).toEqual([tasks[4]?.uid, tasks[3]?.uid])
      await expect.poll(async () => (await store().counts()).tasks.cancelled, { timeout: 5_000 }).toBe(2)
    })

    test('leaves every task that has not ended, however old', async () => {
      const [pending, leased] = [newTask(), newTask()]
      for (const task of [pending, leased]) await store().track(task)
      const { uid } = await trackSubmission(store())
      pass(1_000_000)
      await leaseOf(store(), leased.uid)
      expect(await store().pruneTasks(now() + 1, 100)).toBe(0)
      for (const each of [pending.uid, leased.uid, uid]) expect((await taskBy(store(), each)).endedAtMs).toBeNull()
    })

    test('frees the id and the idempotency key of a task that it deletes, and leaves its event', async () => {
      const idempotency = { key: 'k', fingerprint: 'f' }
      const task = newTask({ idempotency })
      const end = endEvent(task)
      await store().track(task)
      await store().append(end)
      expect(await store().pruneTasks(now() + 1, 100)).toBe(1)
      expect(await store().task('stripe', task.id)).toBeUndefined()
      expect(await store().event(end.uid)).toMatchObject({ id: end.id })
      const again = newTask({ id: task.id, idempotency: { key: 'k', fingerprint: 'g' } })
      expect(await store().track(again)).toMatchObject({ created: true, task: { uid: again.uid, eventUid: end.uid } })
    })
  })
}

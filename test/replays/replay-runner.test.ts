import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { HoldfastError } from '../../src/domain/errors.ts'
import { newUid } from '../../src/domain/names.ts'
import type { ReplayBatch, ReplayJobs } from '../../src/domain/replay-jobs.ts'
import type { PlanReplay } from '../../src/domain/replay-service.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { ReplayRunner } from '../../src/replays/replay-runner.ts'
import { newEvent } from '../contract/store-samples.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

const IDLE_MS = 7_777

const plan: PlanReplay = async (uid, { id }) => ({
  eventUid: uid,
  handlers: ['a'],
  status: 'accepted',
  reasons: [],
  id,
})

async function openWith(count: number): Promise<{ readonly store: OpenStore; readonly uids: readonly string[] }> {
  const store = await openEmptyStore()
  onTestFinished(() => store.close())
  const events = Array.from({ length: count }, () => newEvent({ handlers: [] }))
  for (const event of events) await store.append(event)
  return { store, uids: events.map(({ uid }) => uid) }
}

async function create(store: OpenStore): Promise<string> {
  const id = newUid()
  await store.replayJobs.create({ id, filter: {}, matched: 1, range: await store.replayJobs.range({}) })
  return id
}

const runnerOf = (
  store: OpenStore,
  given: { readonly jobs?: ReplayJobs; readonly plan?: PlanReplay; readonly isDraining?: () => boolean } = {},
) =>
  new ReplayRunner({
    jobs: store.replayJobs,
    event: (uid) => store.event(uid),
    plan,
    capacity: () => ({ total: 1_000, of: () => undefined }),
    isDraining: () => false,
    onWork: () => {},
    idleMs: () => IDLE_MS,
    monotonicMs: () => performance.now(),
    log: pino({ level: 'silent' }),
    ...given,
  })

async function passes(runner: ReplayRunner): Promise<void> {
  for (let pass = 0; pass < 100; pass++) if ((await runner.pass()) === IDLE_MS) return
  throw new Error('the runner does not come to an end')
}

test('the runner leaves jobs to other processes while its process drains', async () => {
  const { store } = await openWith(3)
  const id = await create(store)
  let isDraining = true
  const runner = runnerOf(store, { isDraining: () => isDraining })
  await passes(runner)
  expect(await store.replayJobs.find(id)).toMatchObject({ state: 'running', replayed: 0 })
  expect(await store.replayJobs.lease('another', 1_000)).toMatchObject({ id })
  await store.replayJobs.end({ key: 1, lease: 'another' }, 'done')
  isDraining = false
  const next = await create(store)
  await passes(runner)
  expect(await store.replayJobs.find(next)).toMatchObject({ state: 'done', replayed: 3 })
})

test('the runner replays every event, and comes to rest when no job is left', async () => {
  const { store } = await openWith(100)
  const ids = [await create(store)]
  await passes(runnerOf(store))
  expect(await store.replayJobs.find(ids[0] ?? '')).toMatchObject({ state: 'done', replayed: 100, skipped: 0 })
})

test('an event that the store refuses is skipped, and those around it are replayed', async () => {
  const { store, uids } = await openWith(40)
  const id = await create(store)
  const bad = uids[20]
  const run = async (batch: ReplayBatch) => {
    if (batch.replays.some(({ eventUid }) => eventUid === bad)) throw new HoldfastError('invalid_request', 'no')
    return store.replayJobs.run(batch)
  }
  await passes(runnerOf(store, { jobs: { ...store.replayJobs, run } }))
  expect(await store.replayJobs.find(id)).toMatchObject({ state: 'done', replayed: 39, skipped: 1, skips: { gone: 1 } })
})

test('an event that cannot be read now is tried again, and none is lost or replayed twice', async () => {
  const { store, uids } = await openWith(40)
  const id = await create(store)
  let faults = 3
  const failing: PlanReplay = async (uid, aim) => {
    if (uid === uids[35] && faults-- > 0) throw new HoldfastError('unavailable', 'later')
    return plan(uid, aim)
  }
  const runner = runnerOf(store, { plan: failing })
  for (let left = 3; left > 0; ) await runner.pass().catch(() => left--)
  await passes(runner)
  expect(await store.replayJobs.find(id)).toMatchObject({ state: 'done', replayed: 40, skipped: 0 })
})

test('a second runner takes over where the first one stopped', async () => {
  const { store } = await openWith(100)
  const id = await create(store)
  const first = runnerOf(store)
  await first.pass()
  const { replayed = 0 } = (await store.replayJobs.find(id)) ?? {}
  expect(replayed).toBeGreaterThan(0)
  expect(replayed).toBeLessThan(100)
  const jobs: ReplayJobs = { ...store.replayJobs, lease: (lease) => store.replayJobs.lease(lease, 0) }
  // A lease of no length: the first one's counts as one that cannot be.
  await passes(runnerOf(store, { jobs }))
  expect(await store.replayJobs.find(id)).toMatchObject({ state: 'done', replayed: 100, skipped: 0 })
  expect(await first.pass()).toBe(IDLE_MS)
})

test('a runner that is stopped makes no more passes', async () => {
  const { store } = await openWith(10)
  const runner = runnerOf(store)
  await runner.stop()
  const id = await create(store)
  runner.wake()
  expect(await store.replayJobs.find(id)).toMatchObject({ replayed: 0 })
  runner.start()
  await expect.poll(() => store.replayJobs.find(id)).toMatchObject({ state: 'done', replayed: 10 })
  await runner.stop()
})

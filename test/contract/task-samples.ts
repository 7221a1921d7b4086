import type { NewEvent } from '../../src/domain/event.ts'
import type { Receipt } from '../../src/domain/event-store.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { LeasedTask, NewTask, Task } from '../../src/domain/task.ts'
import type { TaskClaim } from '../../src/domain/task-store.ts'
import { allPages, newEvent } from './store-samples.ts'

export const MAX_WAIT_MS = 1_000
export const DEADLINE_MS = 10_000
export const LEASE_MS = 100

let made = 0

/** A task that the provider knows, by an id of its own. */
export const newTask = (given: Partial<NewTask> = {}): NewTask & { readonly id: string } => ({
  uid: newUid(),
  source: 'stripe',
  id: `task_${++made}`,
  maxWaitMs: MAX_WAIT_MS,
  deadlineMs: DEADLINE_MS,
  ...given,
})

/** A task that is still to be submitted. */
export const newSubmission = (given: Partial<Omit<NewTask, 'id'>> = {}): NewTask => ({
  uid: newUid(),
  source: 'stripe',
  request: '{"prompt":"a"}',
  maxWaitMs: MAX_WAIT_MS,
  deadlineMs: DEADLINE_MS,
  leaseMs: LEASE_MS,
  ...given,
})

/** An event that tells the end of a task. */
export const endEvent = ({ source, id }: { source: string; id?: string | undefined }, given: Partial<NewEvent> = {}) =>
  newEvent({
    source,
    type: 'task.completed',
    ...(id !== undefined && { task: id }),
    taskEnd: { status: 'completed', word: 'succeeded' },
    ...given,
  })

/** The same, as it was asked for under a lease. */
export const askedEvent = (leased: LeasedTask, given: Partial<NewEvent> = {}, by: 'poll' | 'expiry' = 'poll') =>
  endEvent(
    { source: leased.source, id: leased.id ?? leased.uid },
    {
      origin: 'poll',
      taskLease: { uid: leased.uid, lease: leased.lease, by },
      ...given,
    },
  )

export const taskClaim = (given: Partial<TaskClaim> = {}): TaskClaim => ({
  source: 'stripe',
  staleLimit: 100,
  expiredLimit: 100,
  leaseMs: LEASE_MS,
  ...given,
})

/** Tracks a task and leases it, due or not. */
export async function trackLeased(
  store: OpenStore,
  given: Partial<NewTask> = {},
): Promise<LeasedTask & { readonly id: string }> {
  const { uid, id } = newTask(given)
  await store.track(newTask({ ...given, uid, id }))
  return { ...(await leaseOf(store, uid)), id }
}

/** Begins a submission, and gives it as its submitter holds it. */
export async function trackSubmission(store: OpenStore, given: Partial<Omit<NewTask, 'id'>> = {}): Promise<LeasedTask> {
  const task = newSubmission(given)
  const { leased } = await store.track(task)
  if (leased === undefined) throw new Error('a lease was expected')
  return leased
}

export async function leaseOf(store: OpenStore, uid: string, leaseMs = LEASE_MS): Promise<LeasedTask> {
  const leased = await store.claimTask(uid, leaseMs)
  if (leased === undefined) throw new Error(`task ${uid} was expected to be free`)
  return leased
}

export async function taskBy(store: OpenStore, uid: string, source = 'stripe'): Promise<Task> {
  const task = await store.task(source, uid)
  if (task === undefined) throw new Error(`task ${uid} was expected`)
  return task
}

/** Whether nothing of an event was kept, and its sender told so. */
export async function keptNothingOf(store: OpenStore, event: NewEvent, receipt: Receipt): Promise<boolean> {
  const deliveries = await store.deliveries({ eventUid: event.uid }, { limit: 1 })
  const events = await allPages((page) => store.events({}, page))
  const isListed = events.some(({ id, uid }) => id === event.id || uid === event.uid)
  const kept = await store.event(event.uid)
  return receipt.outcome === 'fenced' && kept === undefined && deliveries.items.length === 0 && !isListed
}

import type { EventDetail } from '../../src/domain/event-store.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { allPages, claimOne, claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { askedEvent, endEvent, leaseOf, newTask, trackLeased, trackSubmission } from '../contract/task-samples.ts'
import { openAt } from './database-file.ts'

/** More than a batch of a move takes. */
export const MANY = 1_100

/** Fills an embedded store with every kind of thing, and many of some. It is closed while something runs. */
export async function fillStore(path: string, many: number): Promise<void> {
  const store = await openAt(path)
  await fillEvents(store, many)
  await fillTasks(store)
  await store.audit.record({ action: 'task.cancel', outcome: 'done', actor: 'loopback', target: 'a\0b', count: 2 })
  await store.pauses.pause({ kind: 'handler', name: 'paused\0', by: 'b' })
  await store.audit.record({ action: 'reload', outcome: 'failed', actor: 'signal', reason: 'why' })
  await store.recordStats(
    Array.from({ length: many }, (_, n) => ({
      span: (['minute', 'hour', 'handlers'] as const)[n % 3] ?? 'minute',
      atMs: START_MS + n * 60_000,
      source: 'stripe',
      writer: 'one',
      numbers: `{"received":${n}}`,
    })),
  )
  await store.close()
}

async function fillEvents(store: OpenStore, many: number): Promise<void> {
  await Promise.all(Array.from({ length: many }, () => store.append(newEvent({ source: 'bulk', handlers: ['bulk'] }))))
  const { work } = await store.claim(claimRequest({ handlers: [{ name: 'bulk', limit: many }], sharedLimit: many }))
  await store.settle(work.slice(10).map((one) => settlement(one)))

  const known = newEvent({ handlers: ['b', 'c', 'd'] })
  await store.append(known)
  await store.append({ ...known, uid: newUid(), body: Buffer.from('another') })
  await store.append({ ...known, uid: newUid(), body: Buffer.from('yet another') })
  for (const receivedFrom of ['203.0.113.7', '203.0.113.8'])
    await store.append({ ...known, uid: newUid(), receivedFrom })
  await store.append(newEvent({ id: 'a\0b\ue000c', type: 'strange\0.type', handlers: ['a\0'] }))
  await store.append(
    newEvent({ id: 'unpaired \ud800', reasons: ['of \ud800 and \0'], status: 'quarantined', handlers: [] }),
  )
  await store.append(newEvent({ body: Buffer.alloc(0), status: 'unhandled', handlers: [], createdAt: 'never' }))
  const received = { traceparent: '00-1-2-03', receivedFrom: '203.0.113.24', verifiedBy: { secret: 2, of: 2 } }
  await store.append(newEvent({ body: Buffer.from([0, 255, 128, 10]), handlers: [], ...received }))
  await store.append(newEvent({ body: Buffer.alloc(5_000_000, 'large'), handlers: [], apiVersion: '2026-01' }))
  await store.append(newEvent({ receivedAtMs: START_MS - 40 * 86_400_000, handlers: [], headers: { x: '1, 2' } }))

  const cut = newEvent({ source: 'by-body', dedupe: 'body', status: 'quarantined', handlers: [] })
  await store.append(cut)
  await store.append({ ...cut, uid: newUid(), body: Buffer.from('whole'), status: 'accepted' })

  const one = (handler: string) => claimOne(store, { handlers: [{ name: handler, limit: 1 }] })
  const detail = {
    name: 'Error',
    message: 'no \0 luck',
    stack: ['at a (b.ts:1:2)'],
    cause: { name: 'string', message: "'\ud800'" },
  }
  const answer = { from: 'http://orders.internal', status: 503, durationMs: 31, text: 'no \0 \ud800 luck' }
  const failed = { outcome: 'failed', error: 'no \0 luck', detail, answer, isolate: true } as const
  await store.settle([settlement(await one('b'), { ...failed, verdict: 'retry' })])
  const cause = { id: 'c1', signature: 'no \0 luck', at: 'b.ts:1', source: 'stripe' }
  await store.settle([settlement(await one('b'), { ...failed, verdict: 'dead', cause: { ...cause, handler: 'b' } })])
  await store.replay({ eventUid: known.uid, handlers: ['b', 'late'], status: 'accepted', reasons: [], id: newUid() })
  await replayByJob(store, 'bulk')
  await store.settle([settlement(await one('bulk'), { ...failed, verdict: 'dead' })])
  const [dead] = (await store.deliveries({ state: 'dead', handler: 'bulk' }, { limit: 1 })).items
  if (dead === undefined) throw new Error('nothing is dead')
  await store.replay({ eventUid: dead.eventUid, handlers: ['bulk'], status: 'accepted', reasons: [], id: newUid() })
  const entry = { source: 'stripe', type: 'a\0b', path: 'a.\ud800', atMs: START_MS, event: known.uid } as const
  await store.saveShape({
    source: 'stripe',
    type: 'a\0b',
    version: 0,
    shape: '{}',
    savedAtMs: START_MS,
    entries: [
      { ...entry, what: 'new', to: 'object' },
      { ...entry, what: 'vanished', from: 'string' },
    ],
  })
  await store.settle([settlement(await one('c'), { ...failed, verdict: 'dead', cause: { ...cause, handler: 'c' } })])
  await one('d')

  const orderKeys = { 'or\0dered': 2 ** 48 - 1 }
  const inOrder = newEvent({ handlers: ['or\0dered'], orderKeys })
  for (const event of [inOrder, newEvent({ handlers: ['or\0dered'], orderKeys })]) await store.append(event)
  await store.append({ ...inOrder, uid: newUid(), body: Buffer.from('in conflict') })
}

/** Replays the first events of a source by a job that goes on. */
async function replayByJob(store: OpenStore, source: string): Promise<void> {
  const filter = { source, q: 'evt' }
  const range = await store.replayJobs.range(filter)
  await store.replayJobs.create({
    id: newUid(),
    by: 'a\0b',
    filter,
    perSecond: 9,
    matched: 5,
    range,
    probe: { state: 'waiting' },
  })
  for (const handler of ['a', 'b', 'c', 'd', 'e'])
    await store.replayJobs.create({ id: newUid(), filter, handler, matched: 5, range, matchedMore: true })
  const job = await store.replayJobs.lease('one', 1_000)
  if (job === undefined) throw new Error('no job was leased')
  const { events, readTo } = await store.replayJobs.matches(filter, range, 20)
  const replays = events.map(({ uid }) => ({
    eventUid: uid,
    handlers: ['bulk'],
    status: 'accepted' as const,
    reasons: [],
    id: job.id,
  }))
  await store.replayJobs.run({ job, replays, skips: { gone: 1 }, readTo })
}

async function fillTasks(store: OpenStore): Promise<void> {
  const ended = newTask({ metadata: '{"a":"\\u0000"}', idempotency: { key: 'once\0', fingerprint: 'f' } })
  await store.track(ended)
  await store.append(endEvent(ended))
  await store.append(endEvent(ended))
  await store.append(endEvent({ source: 'stripe', id: 'not tracked yet' }))
  await store.track(newTask({ maxWaitMs: 0 }))
  await trackLeased(store)
  await trackSubmission(store)
  const { uid, lease } = await trackSubmission(store)
  await store.submitted(uid, lease, { refused: 'no' })
  await store.cancelTask((await trackSubmission(store)).uid)
  await store.append(askedEvent(await trackLeased(store), { id: 'asked' }))
  await store.append(askedEvent(await trackLeased(store), { id: 'asked' }))
  const expiring = await trackLeased(store)
  const asked = { kind: 'poll', by: 'operator', atMs: START_MS, durationMs: 12 } as const
  const outcome = { error: 'no \0 answer', asked }
  await store.postpone([{ uid: expiring.uid, lease: expiring.lease, dueAtMs: START_MS, outcome }])
  const leased = await leaseOf(store, expiring.uid)
  const question = { ...asked, outcome: 'pending', providerStatus: 'a \ud800' } as const
  const taskLease = { uid: leased.uid, lease: leased.lease, by: 'expiry', question } as const
  const expired = askedEvent(leased, { taskEnd: { status: 'expired', word: 'expired' }, taskLease }, 'expiry')
  await store.append(expired)
}

export interface Everything {
  readonly events: readonly (EventDetail | undefined)[]
  readonly bodies: readonly string[]
  readonly deliveries: readonly unknown[]
  readonly counts: unknown
  readonly tasks: readonly unknown[]
  readonly taskBySourceAndId: readonly unknown[]
  readonly replays: readonly unknown[]
  readonly questions: readonly unknown[]
}

/** All that a store tells of what it holds. */
export async function everythingIn(store: OpenStore): Promise<Everything> {
  const listed = await allPages((page) => store.events({}, page), 200)
  const tasks = await allPages((page) => store.tasks({}, page), 200)
  const replays = await allPages((page) => store.replayJobs.list(page), 200)
  return {
    events: await eachOf(listed, ({ uid }) => store.event(uid)),
    bodies: await eachOf(listed, async ({ uid }) => Buffer.from(await store.body(uid)).toString('base64')),
    deliveries: await allPages((page) => store.deliveries({}, page), 200),
    counts: await store.counts(),
    tasks,
    replays: await eachOf(replays, ({ id }) => store.replayJobs.find(id)),
    questions: await eachOf(tasks, ({ uid }) => store.questions(uid)),
    taskBySourceAndId: await eachOf(tasks, ({ source, uid, id }) => store.task(source, id ?? uid)),
  }
}

/** One after the other: who waits long for a connection is turned away. */
async function eachOf<Item, Result>(items: readonly Item[], read: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = []
  for (const item of items) results.push(await read(item))
  return results
}

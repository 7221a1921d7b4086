import { describe, expect, test } from 'vitest'
import type { LeasedTask } from '../../src/domain/task.ts'
import type { Fixture } from './store-contract.ts'
import { claimRequest } from './store-samples.ts'
import {
  askedEvent,
  endEvent,
  keptNothingOf,
  LEASE_MS,
  leaseOf,
  taskBy,
  trackLeased,
  trackSubmission,
} from './task-samples.ts'

export function describeAsked({ store, now, pass }: Fixture): void {
  describe('an event from the holder of a task’s lease', () => {
    test.each(['poll', 'expiry'] as const)('by %s ends its task', async (by) => {
      const leased = await trackLeased(store())
      pass(20)
      const status = by === 'poll' ? 'completed' : 'expired'
      const event = askedEvent(leased, { receivedAtMs: now(), taskEnd: { status, word: 'theirs' } }, by)
      expect(await store().append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
      expect(await taskBy(store(), leased.uid)).toMatchObject({
        status,
        providerStatus: by === 'poll' ? 'theirs' : null,
        endedAtMs: now(),
        nextPollAtMs: null,
        resolvedBy: by,
        eventUid: event.uid,
      })
      expect(await store().event(event.uid)).toMatchObject({ status: 'accepted', deliveries: [{ state: 'pending' }] })
      const again = askedEvent(leased)
      expect(await keptNothingOf(store(), again, await store().append(again))).toBe(true)
      expect(await store().append(endEvent(leased))).toMatchObject({ outcome: 'superseded' })
    })

    test.each([
      ['poll', { polls: 2, lastError: null }],
      ['expiry', { polls: 1, lastError: 'down' }],
    ] as const)('by %s leaves %j in its task', async (by, expected) => {
      const { uid, lease } = await trackLeased(store())
      await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { error: 'down' } }])
      await store().append(askedEvent(await leaseOf(store(), uid), {}, by))
      expect(await taskBy(store(), uid)).toMatchObject(expected)
    })

    test.each([
      ['poll', {}, { providerStatus: 'theirs', lastError: null }],
      ['poll', { error: 'cut off' }, { providerStatus: 'theirs', lastError: 'cut off' }],
      ['expiry', {}, { providerStatus: 'RUNNING', lastError: 'down' }],
      ['expiry', { providerStatus: 'DONE', error: 'gave up' }, { providerStatus: 'DONE', lastError: 'gave up' }],
    ] as const)('by %s with the answer %j leaves %j in its task', async (by, said, expected) => {
      const { uid, lease } = await trackLeased(store())
      await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { providerStatus: 'RUNNING', error: 'down' } }])
      const leased = await leaseOf(store(), uid)
      const status = by === 'poll' ? 'completed' : 'expired'
      const asked = { uid, lease: leased.lease, by, ...said }
      await store().append(askedEvent(leased, { taskEnd: { status, word: 'theirs' }, taskLease: asked }, by))
      expect(await taskBy(store(), uid)).toMatchObject({ status, ...expected })
    })

    test('of 16 MiB is stored, leased and read back as it came', async () => {
      const leased = await trackLeased(store())
      const body = Buffer.alloc(16 * 1024 * 1024, 'a€b')
      const event = askedEvent(leased, { body })
      expect(await store().append(event)).toMatchObject({ outcome: 'accepted' })
      expect(Buffer.from(await store().body(event.uid)).equals(body)).toBe(true)
      const { work } = await store().claim(claimRequest())
      expect(work.map(({ event: { uid }, body: given }) => [uid, Buffer.from(given).equals(body)])).toEqual([
        [event.uid, true],
      ])
    })

    test('ends a task that was never submitted', async () => {
      const { uid } = await trackSubmission(store())
      pass(LEASE_MS)
      const event = askedEvent(
        await leaseOf(store(), uid),
        { taskEnd: { status: 'expired', word: 'expired' } },
        'expiry',
      )
      expect(await store().append(event)).toMatchObject({ outcome: 'accepted' })
      expect(await taskBy(store(), uid)).toMatchObject({ status: 'expired', id: null, resolvedBy: 'expiry' })
    })

    test('is stored after the lease has run out, while no other caller has claimed the task', async () => {
      const leased = await trackLeased(store())
      pass(LEASE_MS * 10)
      expect(await store().append(askedEvent(leased))).toMatchObject({ outcome: 'accepted' })
    })

    const losses: [string, (leased: LeasedTask) => Promise<unknown>][] = [
      ['was lost to another claimer', async ({ uid }) => leaseOf(store(), uid)],
      ['ended with its task, by webhook', (leased) => store().append(endEvent(leased))],
      ['ended with its task, by an answer', (leased) => store().append(askedEvent(leased))],
      ['was voided when its task was cancelled', ({ uid }) => store().cancelTask(uid)],
      ['was given back', ({ uid, lease }) => store().postpone([{ uid, lease, dueAtMs: now() }])],
    ]
    test.each(losses)('under a lease that %s is fenced, and nothing of it is stored', async (_, lose) => {
      const leased = await trackLeased(store())
      pass(LEASE_MS)
      await lose(leased)
      const before = await taskBy(store(), leased.uid)
      const counts = await store().counts()
      const late = askedEvent(leased)
      expect(await keptNothingOf(store(), late, await store().append(late))).toBe(true)
      expect(await taskBy(store(), leased.uid)).toEqual(before)
      expect(await store().counts()).toEqual(counts)
    })

    test('under the lease of another task is fenced, and ends neither task', async () => {
      const [mine, other] = [await trackLeased(store()), await trackLeased(store())]
      const event = askedEvent({ ...mine, lease: other.lease })
      expect(await keptNothingOf(store(), event, await store().append(event))).toBe(true)
      for (const { uid } of [mine, other]) expect((await taskBy(store(), uid)).status).toBe('pending')
    })

    test('that ends no task is fenced', async () => {
      const leased = await trackLeased(store())
      const { taskEnd: _none, ...event } = askedEvent(leased)
      expect(await keptNothingOf(store(), event, await store().append(event))).toBe(true)
      expect(await store().append(askedEvent(leased))).toMatchObject({ outcome: 'accepted' })
    })

    test('is fenced by the webhook that comes together with it, or supersedes it', async () => {
      const leased = await trackLeased(store())
      const receipts = await Promise.all([endEvent(leased), askedEvent(leased)].map((event) => store().append(event)))
      const outcomes = receipts.map(({ outcome }) => outcome)
      expect([
        ['accepted', 'fenced'],
        ['superseded', 'accepted'],
      ]).toContainEqual(outcomes)
    })
  })
}

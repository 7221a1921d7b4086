import { describe, expect, test } from 'vitest'
import { type Asked, MAX_QUESTIONS, type Question } from '../../src/domain/task-question.ts'
import type { TaskPostponement } from '../../src/domain/task-store.ts'
import type { Fixture } from './store-contract.ts'
import { askedEvent, endEvent, leaseOf, newTask, taskBy, trackLeased, trackSubmission } from './task-samples.ts'

const HOUR_MS = 3_600_000

export function describeQuestions({ store, now, pass }: Fixture): void {
  const asked = (given: Partial<Asked> = {}): Asked => ({
    kind: 'poll',
    by: 'poller',
    atMs: now() - 30,
    durationMs: 30,
    ...given,
  })
  /** Leases the task, and postpones it to now. */
  async function ask(uid: string, outcome: NonNullable<TaskPostponement['outcome']>): Promise<void> {
    const { lease } = await leaseOf(store(), uid)
    expect(await store().postpone([{ uid, lease, dueAtMs: now(), outcome }])).toEqual([true])
  }

  describe('`questions`', () => {
    test('gives what the provider was asked about a task and what came of it, in the order in which it was asked', async () => {
      const { uid } = (await store().track(newTask())).task
      const other = (await store().track(newTask())).task
      expect(await store().questions(uid)).toEqual([])
      const first = asked()
      await ask(uid, { error: 'the provider answered 503', asked: first })
      pass(100)
      const second = asked({ by: 'operator', durationMs: 0 })
      await ask(uid, { providerStatus: 'queued\0 \ud83d\ude00', asked: second })
      pass(100)
      const third = asked({ atMs: now() })
      await ask(uid, { providerStatus: 'running', error: 'a strange word', asked: third })
      const expected: readonly Question[] = [
        { ...first, outcome: 'unusable', error: 'the provider answered 503' },
        { ...second, outcome: 'pending', providerStatus: 'queued\0 \ud83d\ude00' },
        { ...third, outcome: 'pending', providerStatus: 'running', error: 'a strange word' },
      ]
      expect(await store().questions(uid)).toEqual(expected)
      expect(await store().questions(other.uid)).toEqual([])
      expect(await store().questions('unknown')).toEqual([])
    })

    test('has a submission that gave no usable answer, which is not counted as a poll', async () => {
      const { uid, lease } = await trackSubmission(store())
      const submission = asked({ kind: 'submission', by: 'caller' })
      await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { error: 'down', asked: submission } }])
      expect(await store().questions(uid)).toEqual([{ ...submission, outcome: 'unusable', error: 'down' }])
      expect((await taskBy(store(), uid)).polls).toBe(0)
    })

    test.each([
      ['took', { id: 'given' }, { outcome: 'pending' }],
      ['refused', { refused: 'the provider answered 422' }, { outcome: 'ended', error: 'the provider answered 422' }],
    ] as const)(
      'has the submission that the provider %s, and none where none is given',
      async (_, submission, answer) => {
        const { uid, lease } = await trackSubmission(store())
        pass(40)
        const submitted = asked({ kind: 'submission', by: 'caller' })
        expect(await store().submitted(uid, 'another', { ...submission, asked: submitted })).toBeUndefined()
        expect(await store().questions(uid)).toEqual([])
        await store().submitted(uid, lease, { ...submission, asked: submitted })
        expect(await store().questions(uid)).toEqual([{ ...submitted, ...answer }])
        expect((await taskBy(store(), uid)).polls).toBe(0)
        const other = await trackSubmission(store())
        await store().submitted(other.uid, other.lease, 'id' in submission ? { id: 'other' } : submission)
        expect(await store().questions(other.uid)).toEqual([])
      },
    )

    test('has the submission after which a task failed because another has its id', async () => {
      const known = newTask()
      await store().track(known)
      const { uid, lease } = await trackSubmission(store())
      await store().submitted(uid, lease, { id: known.id, asked: asked({ kind: 'submission', by: 'caller' }) })
      const { status, lastError } = await taskBy(store(), uid)
      expect(status).toBe('failed')
      expect(await store().questions(uid)).toMatchObject([{ outcome: 'ended', error: lastError }])
    })

    test('has nothing where the provider was not asked, or under a lease that is lost', async () => {
      const leased = await trackLeased(store())
      const { uid, lease } = leased
      await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { error: 'not configured' } }])
      const late = { uid, lease, dueAtMs: now(), outcome: { error: 'late', asked: asked() } }
      expect(await store().postpone([late])).toEqual([false])
      const question: Question = { ...asked(), outcome: 'ended', providerStatus: 'theirs' }
      const event = askedEvent(leased, { taskLease: { uid, lease, by: 'poll', question } })
      expect(await store().append(event)).toMatchObject({ outcome: 'fenced' })
      expect(await store().questions(uid)).toEqual([])
    })

    test.each([
      ['poll', 'ended', 'completed'],
      ['expiry', 'pending', 'expired'],
    ] as const)('has the last one, after which the task ended by %s, and counts it', async (by, outcome, status) => {
      const { uid } = (await store().track(newTask())).task
      const first = asked()
      await ask(uid, { providerStatus: 'running', asked: first })
      pass(50)
      const leased = await leaseOf(store(), uid)
      const question: Question = { ...asked(), outcome, providerStatus: 'theirs', error: 'cut off' }
      const taskLease = { uid, lease: leased.lease, by, question }
      const event = askedEvent(leased, { receivedAtMs: now(), taskEnd: { status, word: 'theirs' }, taskLease }, by)
      expect(await store().append(event)).toMatchObject({ outcome: 'accepted' })
      expect(await store().questions(uid)).toEqual([
        { ...first, outcome: 'pending', providerStatus: 'running' },
        question,
      ])
      expect(await taskBy(store(), uid)).toMatchObject({ status, polls: 2 })
    })

    test(`has the last ${MAX_QUESTIONS}, while all polls are counted`, async () => {
      const { uid } = (await store().track(newTask())).task
      const before = (await store().track(newTask())).task
      for (const other of [before.uid, uid]) await ask(other, { providerStatus: 'first', asked: asked() })
      for (let n = 0; n < MAX_QUESTIONS; n++) await ask(uid, { error: `error ${n}`, asked: asked() })
      const errors = (await store().questions(uid)).map(({ error }) => error)
      expect(errors).toEqual(Array.from({ length: MAX_QUESTIONS }, (_, n) => `error ${n}`))
      expect((await taskBy(store(), uid)).polls).toBe(MAX_QUESTIONS + 1)
      expect(await store().questions(before.uid)).toHaveLength(1)
    })

    test('shortens a long error, which the task has whole', async () => {
      const { uid } = (await store().track(newTask())).task
      const error = 'e'.repeat(1_500)
      await ask(uid, { error, asked: asked() })
      expect(await store().questions(uid)).toMatchObject([{ error: 'e'.repeat(500) }])
      expect((await taskBy(store(), uid)).lastError).toBe(error)
    })

    test('has nothing of a task that was deleted, for the task that comes in its place', async () => {
      const task = newTask()
      const { uid } = (await store().track(task)).task
      await ask(uid, { providerStatus: 'running', asked: asked() })
      await store().append(endEvent(task, { receivedAtMs: now() }))
      expect(await store().questions(uid)).toHaveLength(1)
      expect(await store().pruneTasks(now() + 1, 10)).toBe(1)
      expect(await store().questions(uid)).toEqual([])
      const next = (await store().track(newTask())).task
      expect(await store().questions(next.uid)).toEqual([])
    })

    test('gives questions that were asked while the clock was ahead the present as their time', async () => {
      const { uid } = (await store().track(newTask({ deadlineMs: 2_000 * HOUR_MS }))).task
      pass(1_000 * HOUR_MS)
      await ask(uid, { providerStatus: 'running', asked: asked() })
      await store().postpone([{ uid, lease: (await leaseOf(store(), uid)).lease, dueAtMs: now() + 100 * HOUR_MS }])
      pass(-1_000 * HOUR_MS)
      const waits = { retryMs: HOUR_MS, retryAfterMs: HOUR_MS, pollMs: HOUR_MS, leaseMs: 30_000, isTrusted: true }
      expect(await store().repairTimes(waits)).toMatchObject({ tasks: 1 })
      expect(await store().questions(uid)).toMatchObject([{ atMs: now(), providerStatus: 'running' }])
    })
  })
}

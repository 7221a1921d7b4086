import { describe, expect, test } from 'vitest'
import type { AttemptOutcome, Settlement, Work } from '../../src/domain/delivery.ts'
import type { ErrorDetail } from '../../src/domain/errors.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, claimRequest, codeOf, newEvent, pruned, START_MS, settlement } from './store-samples.ts'

export function describeEnding(fixture: Fixture): void {
  describeSettle(fixture)
  describeReplay(fixture)
  describePrune(fixture)
}

function describeSettle({ store, now, pass }: Fixture): void {
  describe('`settle`', () => {
    const cases: readonly {
      readonly verdict: Settlement['verdict']
      readonly outcome: AttemptOutcome
      readonly state: string
      readonly attempts: number
      readonly dueInMs: number
      readonly lastError?: string
    }[] = [
      { verdict: 'succeeded', outcome: 'succeeded', state: 'succeeded', attempts: 1, dueInMs: 0 },
      { verdict: 'dead', outcome: 'rejected', state: 'dead', attempts: 1, dueInMs: 0, lastError: 'no' },
      { verdict: 'retry', outcome: 'failed', state: 'pending', attempts: 1, dueInMs: 700, lastError: 'no' },
      { verdict: 'released', outcome: 'released', state: 'pending', attempts: 0, dueInMs: 700 },
    ]
    test.each(cases)('with $verdict makes a delivery $state, with $attempts attempts counted', async (expected) => {
      const event = newEvent()
      await store().append(event)
      const work = await claimOne(store())
      pass(100)
      const error = expected.verdict === 'succeeded' ? {} : { error: 'no' }
      const given = { ...expected, ...error, dueAtMs: now() + 700, startedAtMs: START_MS + 1, durationMs: 99 }
      expect(await store().settle([settlement(work, given)])).toEqual([true])
      const [delivery] = (await store().event(event.uid))?.deliveries ?? []
      expect(delivery).toMatchObject({
        state: expected.state,
        attempts: expected.attempts,
        dueAtMs: now() + expected.dueInMs,
        history: [{ number: 1, outcome: expected.outcome, ...error, startedAtMs: START_MS + 1, durationMs: 99 }],
      })
      expect(delivery?.lastError).toBe(expected.lastError)
    })

    test('keeps the answer of a service with its attempt, beside an error and without one', async () => {
      const event = newEvent({ handlers: ['a'] })
      await store().append(event)
      const answer = { from: 'http://orders.internal:3000', status: 202, durationMs: 31, text: 'queued \0 "größe"' }
      const detail = { name: 'Error', message: 'no' }
      const failed = {
        verdict: 'retry',
        outcome: 'failed',
        error: 'no',
        detail,
        answer: { ...answer, status: 503 },
      } as const
      for (const given of [failed, { answer }, {}]) {
        const { work } = await store().claim(claimRequest())
        await store().settle(work.map((each) => settlement(each, { dueAtMs: now(), ...given })))
        if (given === failed) continue
        await store().replay({ eventUid: event.uid, handlers: ['a'], status: 'accepted', reasons: [] })
      }
      const history = (await store().event(event.uid))?.deliveries[0]?.history ?? []
      expect(history.map(({ errorDetail, answer: kept }) => [errorDetail, kept])).toEqual([
        [detail, { ...answer, status: 503 }],
        [undefined, answer],
        [undefined, undefined],
      ])
    })

    test('keeps the details of an error with its attempt, and nothing for an attempt without an error', async () => {
      const event = newEvent()
      await store().append(event)
      const detail: ErrorDetail = {
        name: 'TypeError',
        message: 'fetch failed: \u{1f600}\nsecond line \0',
        stack: ['at call (handlers/pay.ts:12:7)', 'at async run (handlers/pay.ts:3:1)'],
        cause: { name: 'Error', message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' },
        errors: [{ name: 'string', message: "'thrown'" }],
      }
      const failed = { verdict: 'retry', outcome: 'failed', error: 'fetch failed', detail } as const
      await store().settle([settlement(await claimOne(store()), failed)])
      await store().settle([settlement(await claimOne(store()))])
      const [first, second] = (await store().event(event.uid))?.deliveries[0]?.history ?? []
      expect(first).toMatchObject({ number: 1, error: 'fetch failed' })
      expect(first?.errorDetail).toEqual(detail)
      expect(second).toMatchObject({ number: 2, outcome: 'succeeded' })
      expect(second).not.toHaveProperty('errorDetail')
    })

    test('by a handler that finds its event not valid quarantines the event, and leaves its other deliveries as they are', async () => {
      const event = newEvent({ handlers: ['a', 'b', 'c'] })
      await store().append(event)
      const all = { handlers: ['a', 'b', 'c'].map((name) => ({ name, limit: 1 })) }
      const { work } = await store().claim(claimRequest(all))
      const refused = (handler: string, quarantine: readonly string[]): Settlement => {
        const each = work.find((one) => one.handler === handler) as Work
        return settlement(each, { verdict: 'dead', outcome: 'rejected', error: 'no', quarantine })
      }
      expect(await store().settle([refused('b', ['b: /\0 no'])])).toEqual([true])
      expect(await store().settle([refused('c', ['b: /\0 no', 'c: / no'])])).toEqual([true])
      expect(await store().event(event.uid)).toMatchObject({
        status: 'quarantined',
        reasons: ['b: /\0 no', 'c: / no'],
        deliveries: [
          { handler: 'a', state: 'running' },
          { handler: 'b', state: 'dead', history: [{ outcome: 'rejected' }] },
          { handler: 'c', state: 'dead' },
        ],
      })
      expect((await store().events({ status: 'quarantined' }, { limit: 9 })).items).toHaveLength(1)

      await store().replay({ eventUid: event.uid, handlers: ['b'], status: 'accepted', reasons: [] })
      expect(await store().event(event.uid)).toMatchObject({ status: 'accepted', reasons: [] })
      // Of a lease that is gone, nothing counts.
      expect(await store().settle([refused('b', ['late'])])).toEqual([false])
      expect(await store().event(event.uid)).toMatchObject({ status: 'accepted', reasons: [] })
    })

    test('takes effect once for each lease', async () => {
      await store().append(newEvent())
      const work = await claimOne(store())
      expect(await store().settle([settlement(work), settlement(work)])).toEqual([true, false])
      expect(await store().settle([settlement(work)])).toEqual([false])
    })

    test('under another lease has no effect, and the other settlements of the call take effect', async () => {
      const event = newEvent({ handlers: ['a', 'b'] })
      await store().append(event)
      const { work } = await store().claim(claimRequest({ handlers: ['a', 'b'].map((name) => ({ name, limit: 1 })) }))
      const [forged, good] = work.map((each) => settlement(each))
      if (forged === undefined || good === undefined) throw new Error('two deliveries were expected')
      expect(await store().settle([{ ...forged, lease: 'forged' }, good])).toEqual([false, true])
      const states = (await store().event(event.uid))?.deliveries.map(({ state }) => state)
      expect(states?.toSorted()).toEqual(['running', 'succeeded'])
    })

    test('takes an empty list', async () => {
      expect(await store().settle([])).toEqual([])
    })

    test('keeps the history in order, also with a replay in between', async () => {
      const event = newEvent()
      await store().append(event)
      const steps: [Settlement['verdict'], AttemptOutcome][] = [
        ['retry', 'failed'],
        ['dead', 'timeout'],
        ['succeeded', 'succeeded'],
      ]
      for (const [verdict, outcome] of steps) {
        if (outcome === 'succeeded') {
          await store().replay({ eventUid: event.uid, handlers: ['a'], status: 'accepted', reasons: [] })
        }
        await store().settle([settlement(await claimOne(store()), { verdict, outcome })])
      }
      const [delivery] = (await store().event(event.uid))?.deliveries ?? []
      expect(delivery?.history.map(({ number, outcome }) => [number, outcome])).toEqual([
        [1, 'failed'],
        [2, 'timeout'],
        [1, 'succeeded'],
      ])
    })
  })
}

function describeReplay({ store, now, pass }: Fixture): void {
  describe('`replay`', () => {
    const replay = async (eventUid: string, handlers: string[]) =>
      (await store().replay({ eventUid, handlers, status: 'accepted', reasons: [] })).handlers

    test('answers event_not_found for an event that does not exist', async () => {
      expect(await codeOf(replay(newUid(), ['a']))).toBe('event_not_found')
    })

    test.each(['succeeded', 'dead'] as const)(
      'runs a delivery that is %s again with all its attempts',
      async (verdict) => {
        const event = newEvent()
        await store().append(event)
        await store().settle([settlement(await claimOne(store()), { verdict, isolate: true })])
        pass(500)
        expect(await replay(event.uid, ['a'])).toEqual(['a'])
        const [delivery] = (await store().deliveries({}, { limit: 1 })).items
        expect(delivery).toMatchObject({ state: 'pending', attempts: 0, dueAtMs: now() })
        expect(delivery).not.toHaveProperty('lastError')
        expect(await claimOne(store())).toMatchObject({ attempt: 1, isolated: false })
      },
    )

    test('creates missing deliveries, also for a conflict, and sets the status', async () => {
      const first = newEvent()
      const conflict = { ...first, uid: newUid(), body: Buffer.from('other') }
      await store().append(first)
      await store().append(conflict)
      expect(await replay(conflict.uid, ['a', 'b', 'a'])).toEqual(['a', 'b'])
      expect(await store().event(conflict.uid)).toMatchObject({
        status: 'accepted',
        deliveries: [{ handler: 'a' }, { handler: 'b' }],
      })
    })

    test('leaves deliveries that are pending or running as they are', async () => {
      const event = newEvent({ handlers: ['a', 'b'] })
      await store().append(event)
      const work = await claimOne(store())
      expect(await replay(event.uid, ['a', 'b'])).toEqual([])
      expect(await store().settle([settlement(work)])).toEqual([true])
    })

    test('may change only the status and its reasons', async () => {
      const event = newEvent({ handlers: [] })
      await store().append(event)
      const reasons = ['its schema wants a number']
      const become = { status: 'quarantined', reasons, handlers: [] } as const
      expect(await store().replay({ eventUid: event.uid, ...become })).toEqual(become)
      expect(await store().event(event.uid)).toMatchObject({ status: 'quarantined', reasons })
    })
  })
}

function describePrune({ store }: Fixture): void {
  describe('`prune`', () => {
    const append = async (ageMs: number, handlers: string[] = []) => {
      const event = newEvent({ receivedAtMs: START_MS - ageMs, handlers })
      await store().append(event)
      return event
    }

    test('deletes events received before the time, the oldest first, up to the limit', async () => {
      const [middle, oldest, kept] = [await append(200), await append(300), await append(100)]
      expect(await pruned(store(), START_MS - 100, 1)).toBe(1)
      expect(await store().event(oldest.uid)).toBeUndefined()
      expect(await pruned(store(), START_MS - 100, 10)).toBe(1)
      expect(await store().event(middle.uid)).toBeUndefined()
      expect(await codeOf(store().body(middle.uid))).toBe('event_not_found')
      expect(await store().event(kept.uid)).toBeDefined()
    })

    test('keeps events that still have to run, and deletes those that are dead or succeeded', async () => {
      const [ended, waiting] = [await append(300, ['a']), await append(200, ['a'])]
      await store().settle([settlement(await claimOne(store()), { verdict: 'dead', outcome: 'rejected' })])
      expect(await pruned(store(), START_MS, 10)).toBe(1)
      expect(await store().event(ended.uid)).toBeUndefined()
      const work = await claimOne(store())
      expect(await pruned(store(), START_MS, 10)).toBe(0)
      await store().settle([settlement(work)])
      expect(await pruned(store(), START_MS, 10)).toBe(1)
      expect(await store().event(waiting.uid)).toBeUndefined()
      expect((await store().deliveries({}, { limit: 10 })).items).toEqual([])
    })

    test('frees the id of an event that it deletes', async () => {
      const event = await append(300)
      await pruned(store(), START_MS, 10)
      const again = { ...event, uid: newUid() }
      expect(await store().append(again)).toEqual({ outcome: 'accepted', uid: again.uid })
    })
  })
}

import { describe, expect, test } from 'vitest'
import type { Settlement } from '../../src/domain/delivery.ts'
import type { Replay } from '../../src/domain/delivery-queue.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { ReplayFilter } from '../../src/domain/replay-jobs.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, newEvent, START_MS, settlement } from './store-samples.ts'

export function describeReplayed({ store, pass }: Fixture): void {
  const matching = async (filter: ReplayFilter): Promise<readonly string[]> => {
    const range = await store().replayJobs.range(filter)
    const uids: string[] = []
    for (let { after } = range; after < range.last; ) {
      const { events, readTo } = await store().replayJobs.matches(filter, { ...range, after }, 2)
      uids.push(...events.map(({ uid }) => uid))
      after = readTo
    }
    return uids
  }
  const append = async (given: Partial<NewEvent> = {}): Promise<NewEvent> => {
    const event = newEvent(given)
    await store().append(event)
    return event
  }
  const ended = async (given: Partial<Settlement> = {}): Promise<void> => {
    await store().settle([settlement(await claimOne(store()), given)])
  }
  const DEAD = { verdict: 'dead', outcome: 'failed', error: 'no' } as const
  const RETRY = { verdict: 'retry', outcome: 'failed', error: 'no', dueAtMs: START_MS + 60_000 } as const

  describe('the attempts of a replay', () => {
    test('carry its id, and those before it do not', async () => {
      const event = await append()
      await ended(DEAD)
      const ids = [newUid(), newUid()]
      for (const id of ids) {
        await store().replay({ eventUid: event.uid, handlers: ['a', 'b'], status: 'accepted', reasons: [], id })
        await ended(RETRY)
        pass(100_000)
        await ended(DEAD)
      }
      await store().replay({ eventUid: event.uid, handlers: ['a'], status: 'accepted', reasons: [] })
      await ended()
      const [a, b] = (await store().event(event.uid))?.deliveries ?? []
      expect(a?.history.map(({ replay }) => replay)).toEqual([undefined, ids[0], ids[0], ids[1], ids[1], undefined])
      await store().settle([settlement(await claimOne(store(), { handlers: [{ name: 'b', limit: 1 }] }))])
      expect(b?.handler).toBe('b')
      expect((await store().event(event.uid))?.deliveries[1]?.history.map(({ replay }) => replay)).toEqual([ids[0]])
    })
  })

  describe('a delivery that waits for another attempt', () => {
    const replayed = (event: NewEvent, given: Partial<Replay> = {}) =>
      store().replay({ eventUid: event.uid, handlers: ['a', 'b'], status: 'accepted', reasons: [], ...given })
    const deliveries = async ({ uid }: NewEvent) => (await store().event(uid))?.deliveries ?? []

    test('is due at once if its event is replayed, with all its attempts and its history', async () => {
      const event = await append()
      await ended(RETRY)
      await expect(claimOne(store())).rejects.toThrow('0 were claimed')
      const id = newUid()
      expect((await replayed(event, { id })).handlers).toEqual(['a', 'b'])
      expect((await deliveries(event))[0]).toMatchObject({ state: 'pending', attempts: 0, dueAtMs: START_MS })
      await ended(RETRY)
      const [a] = await deliveries(event)
      expect(a?.history.map(({ number, replay }) => [number, replay])).toEqual([
        [1, undefined],
        [1, id],
      ])
    })

    test('is due at once by a replay of what waits, which neither creates nor restarts any other', async () => {
      const event = await append({ handlers: ['a', 'c'] })
      await ended(RETRY)
      await store().settle([settlement(await claimOne(store(), { handlers: [{ name: 'c', limit: 1 }] }))])
      const waiting = { only: 'waiting', handlers: ['a', 'b', 'c'] } as const
      expect((await replayed(event, waiting)).handlers).toEqual(['a'])
      // It is due now, and does not wait any more.
      expect((await replayed(event, waiting)).handlers).toEqual([])
      expect((await deliveries(event)).map(({ handler, state }) => [handler, state])).toEqual([
        ['a', 'pending'],
        ['c', 'succeeded'],
      ])
    })

    test('stays as it is if its source is paused', async () => {
      const event = await append({ handlers: ['a'] })
      await store().pauses.pause({ kind: 'source', name: 'stripe', by: 'me' })
      await ended({ verdict: 'held', heldFor: 'stripe', dueAtMs: START_MS + 3_600_000 })
      expect((await replayed(event, { handlers: ['a'] })).handlers).toEqual([])
      expect((await deliveries(event))[0]?.dueAtMs).toBe(START_MS + 3_600_000)
    })
  })

  describe('the events that match a replay', () => {
    test('are found in the order in which they were stored, by every field of the filter', async () => {
      const one = await append({
        type: 'invoice.paid',
        task: 'task_A',
        body: Buffer.from('{"data":{"customer":"cus_1"}}'),
      })
      await ended(DEAD)
      const two = await append({ type: 'charge.made', source: 'eu', handlers: ['b'], receivedAtMs: START_MS + 10 })
      const three = await append({
        type: 'invoice.made',
        status: 'unhandled',
        handlers: [],
        receivedAtMs: START_MS + 20,
        body: Buffer.from('"cus_1"'),
      })
      const all = [one.uid, two.uid, three.uid]
      const cases: readonly [ReplayFilter, readonly (string | undefined)[]][] = [
        [{}, all],
        [{ source: 'eu' }, [two.uid]],
        [{ type: 'invoice.*' }, [one.uid, three.uid]],
        [{ source: 'stripe', type: 'invoice.made' }, [three.uid]],
        [{ status: 'unhandled' }, [three.uid]],
        [{ task: 'task_A' }, [one.uid]],
        [{ q: 'CHARGE' }, [two.uid]],
        [{ sinceMs: START_MS + 10 }, [two.uid, three.uid]],
        [{ untilMs: START_MS + 20 }, [one.uid, two.uid]],
        [{ sinceMs: START_MS + 999 }, []],
        [{ handler: 'b' }, [two.uid]],
        [{ delivery: 'dead' }, [one.uid]],
        [{ delivery: 'dead', handler: 'a' }, [one.uid]],
        [{ delivery: 'dead', handler: 'b' }, []],
        [{ delivery: 'dead', handler: 'none' }, []],
        [{ delivery: 'dead', cause: 'none' }, []],
        [{ delivery: 'discarded' }, []],
        [{ delivery: 'waiting' }, [two.uid]],
        [{ delivery: 'waiting', handler: 'a' }, []],
        [{ contains: 'CUS_1' }, [one.uid, three.uid]],
        [{ contains: 'cus_1', handler: 'a' }, [one.uid]],
        [{ match: [{ path: 'data.customer', value: 'cus_1' }] }, [one.uid]],
        [{ match: [{ path: 'data.customer', value: 'cus_2' }], sinceMs: START_MS }, []],
        [{ outcome: 'pending' }, [two.uid]],
        [{ outcome: 'none' }, [three.uid]],
        [{ outcome: 'failing' }, []],
      ]
      for (const [filter, uids] of cases) expect(await matching(filter), JSON.stringify(filter)).toEqual(uids)
    })
  })
}

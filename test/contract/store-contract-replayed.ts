import { describe, expect, test } from 'vitest'
import type { Settlement } from '../../src/domain/delivery.ts'
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

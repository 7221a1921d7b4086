import { describe, expect, test } from 'vitest'
import type { ClaimRequest } from '../../src/domain/delivery-queue.ts'
import type { Fixture } from './store-contract.ts'
import { claimRequest, newEvent, START_MS } from './store-samples.ts'

/** Handlers with room for ten more each. */
const handlers = (running: Readonly<Record<string, number>>): ClaimRequest['handlers'] =>
  Object.entries(running).map(([name, running]) => ({ name, limit: 10, running }))

export function describeFairness({ store, now }: Fixture): void {
  const appendTo = async (handler: string, count: number, receivedAtMs = START_MS): Promise<void> => {
    for (let n = 0; n < count; n++) await store().append(newEvent({ handlers: [handler], receivedAtMs }))
  }
  const claimed = async (running: Readonly<Record<string, number>>, sharedLimit: number): Promise<string> => {
    const { work } = await store().claim(claimRequest({ handlers: handlers(running), sharedLimit }))
    return work.map(({ handler }) => handler).join('')
  }

  describe('a claim with room for fewer deliveries than are due', () => {
    test('shares the room among handlers in turns, however much older the backlog of one is', async () => {
      await appendTo('a', 8, START_MS - 5_000)
      await appendTo('b', 2)
      await appendTo('c', 2)
      expect(await claimed({ a: 0, b: 0, c: 0 }, 5)).toBe('abcab')
    })

    test('gives the room first to the handler with fewer running deliveries', async () => {
      await appendTo('a', 8, START_MS - 5_000)
      await appendTo('b', 8)
      expect(await claimed({ a: 3, b: 0 }, 4)).toBe('bbba')
      expect(await claimed({ a: 4, b: 3 }, 4)).toBe('baba')
    })

    test('gives the room to the oldest due delivery where the handlers have equally many running', async () => {
      await appendTo('b', 2, START_MS - 2)
      await appendTo('a', 2, START_MS - 1)
      await appendTo('c', 2, START_MS - 3)
      expect(await claimed({ a: 1, b: 1, c: 1 }, 4)).toBe('cbac')
    })

    test('keeps no room free for a handler that has nothing due or has reached its limit', async () => {
      await appendTo('a', 8)
      await appendTo('b', 1, START_MS + 1)
      await appendTo('c', 8)
      const { work } = await store().claim(
        claimRequest({ handlers: [...handlers({ a: 7, b: 0 }), { name: 'c', limit: 1 }], sharedLimit: 6 }),
      )
      expect(work.map(({ handler }) => handler).join('')).toBe('caaaaa')
    })

    test('gives the room to the oldest due delivery of a handler, whether that delivery runs alone or not', async () => {
      await appendTo('a', 3)
      const { work } = await store().claim(claimRequest({ sharedLimit: 2 }))
      await store().settle(
        work.map(({ deliveryId, lease }, at) => ({
          deliveryId,
          lease,
          verdict: 'retry',
          outcome: 'process_lost',
          isolate: true,
          dueAtMs: now() - 1 + 2 * at,
          startedAtMs: now(),
          durationMs: 1,
        })),
      )
      const again = await store().claim(claimRequest())
      expect(again.work.map(({ isolated }) => isolated)).toEqual([true, false])
    })
  })
}

import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, newEvent, pruned, START_MS, settlement } from './store-samples.ts'

const again = ({ receivedFrom: _, ...event }: NewEvent, given: Partial<NewEvent> = {}): NewEvent => ({
  ...event,
  uid: newUid(),
  ...given,
})

export function describeRepeats({ store }: Fixture): void {
  const repeatsOf = async (uid: string) => (await store().event(uid))?.repeats

  describe('`append`, of an event that is stored already,', () => {
    test('counts how often it was sent again, and remembers when last and from where', async () => {
      const first = newEvent({ receivedFrom: '192.0.2.1' })
      await store().append(first)
      expect(await store().event(first.uid)).not.toHaveProperty('repeats')
      await store().append(again(first, { receivedAtMs: START_MS + 5, receivedFrom: '192.0.2.2' }))
      expect(await repeatsOf(first.uid)).toEqual({ times: 1, lastAtMs: START_MS + 5, lastFrom: '192.0.2.2' })
      await store().append(again(first, { receivedAtMs: START_MS + 9 }))
      expect(await repeatsOf(first.uid)).toEqual({ times: 2, lastAtMs: START_MS + 9 })
      expect(await store().event(first.uid)).toMatchObject({ receivedFrom: '192.0.2.1', receivedAtMs: START_MS })
    })

    test('counts those that come together, in one batch with the first one or without it', async () => {
      const [one, other] = [newEvent(), newEvent()]
      const times = (event: NewEvent, count: number) => Array.from({ length: count }, () => again(event))
      await Promise.all([one, ...times(one, 4), other].map((event) => store().append(event)))
      await Promise.all([...times(other, 3), ...times(one, 2), newEvent()].map((event) => store().append(event)))
      await Promise.all(times(one, 30).map((event) => store().append(event)))
      expect(await repeatsOf(one.uid)).toMatchObject({ times: 36 })
      expect(await repeatsOf(other.uid)).toMatchObject({ times: 3 })
    })

    test('keeps the last time and address where an earlier one comes later', async () => {
      const first = newEvent()
      await store().append(first)
      await store().append(again(first, { receivedAtMs: START_MS + 9, receivedFrom: '192.0.2.9' }))
      await store().append(again(first, { receivedAtMs: START_MS + 5, receivedFrom: '192.0.2.5' }))
      expect(await repeatsOf(first.uid)).toEqual({ times: 2, lastAtMs: START_MS + 9, lastFrom: '192.0.2.9' })
    })

    test('counts a conflict that came before with that conflict, and not with the event that has the id', async () => {
      const first = newEvent()
      const other = again(first, { body: Buffer.from('other') })
      for (const event of [first, other, again(other), again(other)]) await store().append(event)
      expect(await repeatsOf(first.uid)).toBeUndefined()
      expect(await repeatsOf(other.uid)).toMatchObject({ times: 2 })
    })

    test('counts one that is known by its body, and one that handler processes have judged', async () => {
      const known = newEvent({ dedupe: 'body' })
      await store().append(known)
      await store().append(again(known, { id: newUid() }))
      expect(await repeatsOf(known.uid)).toMatchObject({ times: 1 })

      const judged = newEvent({ unjudged: ['schema 1'], body: Buffer.from('judged') })
      await store().append(judged)
      for (;;) {
        const work = await claimOne(store())
        const isJudged = work.event.uid === judged.uid
        const quarantine = { outcome: 'rejected', quarantine: ['no'], judgement: 'schema 1' } as const
        await store().settle([settlement(work, { verdict: 'dead', ...(isJudged && quarantine) })])
        if (isJudged) break
      }
      expect(await store().append(again(judged, { receivedAtMs: START_MS + 7 }))).toMatchObject({
        outcome: 'duplicate',
      })
      expect(await repeatsOf(judged.uid)).toEqual({ times: 1, lastAtMs: START_MS + 7 })
    })

    test('keeps the count until the event is deleted, and counts the same event anew when it comes again', async () => {
      const first = newEvent({ handlers: [], status: 'unhandled' })
      await store().append(first)
      await store().append(again(first))
      expect(await pruned(store(), START_MS + 86_400_000)).toBe(1)
      const next = again(first)
      expect(await store().append(next)).toEqual({ outcome: 'accepted', uid: next.uid })
      expect(await repeatsOf(next.uid)).toBeUndefined()
    })
  })
}

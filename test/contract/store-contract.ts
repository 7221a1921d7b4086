import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/domain/clock.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { describeAudit } from './store-contract-audit.ts'
import { describeBehind } from './store-contract-behind.ts'
import { describeBeside } from './store-contract-beside.ts'
import { describeCauses, describeManyCauses } from './store-contract-causes.ts'
import { describeClaiming } from './store-contract-claiming.ts'
import { describeDiscard } from './store-contract-discard.ts'
import { describeDrift } from './store-contract-drift.ts'
import { describeEnding } from './store-contract-ending.ts'
import { describeFairness } from './store-contract-fairness.ts'
import { describeIdentity } from './store-contract-identity.ts'
import { describeLateQuarantine } from './store-contract-identity-late.ts'
import { describeLeasedAtAppend } from './store-contract-leased.ts'
import { describeLife } from './store-contract-life.ts'
import { describeListing } from './store-contract-lists.ts'
import { describeOrder } from './store-contract-order.ts'
import { describeOutcomes } from './store-contract-outcomes.ts'
import { describePauses } from './store-contract-pause.ts'
import { describePayloadIndex } from './store-contract-payload-index.ts'
import { describeRepairTimes } from './store-contract-repair-times.ts'
import { describeRepeats } from './store-contract-repeats.ts'
import { describeReplayed } from './store-contract-replayed.ts'
import { describeReplayJobs } from './store-contract-replays.ts'
import { describeScans } from './store-contract-scans.ts'
import { describeStats } from './store-contract-stats.ts'
import { describeTail } from './store-contract-tail.ts'
import { describeTasks } from './store-contract-tasks.ts'
import { describeUpkeep } from './store-contract-upkeep.ts'
import { claimRequest, codeOf, newEvent, START_MS } from './store-samples.ts'

/** Opens an empty store. */
export type OpenEmptyStore = (clock: Clock) => Promise<OpenStore>

/** One store per test, and a clock that only the test moves. */
export interface Fixture {
  readonly store: () => OpenStore
  readonly now: () => number
  readonly pass: (ms: number) => void
}

/** The guarantees of the store port (`domain/store.ts`), as statements that any store has to meet. */
export function describeStore(name: string, open: OpenEmptyStore): void {
  describeWith(name, open, (fixture) => {
    describeAppend(fixture)
    describeIdentity(fixture)
    describeRepeats(fixture)
    describeBeside(fixture)
    describeLateQuarantine(fixture)
    describeClaiming(fixture)
    describeFairness(fixture)
    describeLeasedAtAppend(fixture)
    describeEnding(fixture)
    describeDiscard(fixture)
    describeCauses(fixture)
    describeOrder(fixture)
    describeListing(fixture)
    describeTail(fixture)
    describeOutcomes(fixture)
    describeDrift(fixture)
    describeScans(fixture)
    describePayloadIndex(fixture)
    describeUpkeep(fixture)
    describeRepairTimes(fixture)
    describeReplayJobs(fixture)
    describeReplayed(fixture)
    describeBehind(fixture)
    describeStats(fixture)
    describeAudit(fixture)
    describePauses(fixture)
    describeLife(fixture)
  })
}

/** Those that take long. */
export function describeFullStore(name: string, open: OpenEmptyStore): void {
  describeWith(name, open, describeManyCauses)
}

/** Those of `domain/task-store.ts`. */
export function describeTaskStore(name: string, open: OpenEmptyStore): void {
  describeWith(name, open, describeTasks)
}

function describeWith(name: string, open: OpenEmptyStore, statements: (fixture: Fixture) => void): void {
  describe(name, () => {
    let nowMs = START_MS
    let store: OpenStore
    beforeEach(async () => {
      nowMs = START_MS
      store = await open(() => nowMs)
    })
    afterEach(() => store.close())

    statements({
      store: () => store,
      now: () => nowMs,
      pass: (ms) => {
        nowMs += ms
      },
    })
  })
}

function describeAppend({ store }: Fixture): void {
  describe('`append`', () => {
    test('accepts a new event under its own uid', async () => {
      const event = newEvent()
      expect(await store().append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
    })

    test('stores an event that is read back as it was', async () => {
      const event = newEvent({
        type: 'Ünïcode.\u{1f600}',
        id: 'with\0nul',
        status: 'quarantined',
        reasons: ['one', 'two'],
        apiVersion: '2026-01-01',
        task: 'task_1',
        origin: 'poll',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        receivedFrom: '2001:db8::24',
        verifiedBy: { secret: 1, of: 2 },
        headers: { 'x-a': '1', 'x-b': 'ä, ö' },
        body: Uint8Array.from({ length: 256 }, (_, at) => at),
        handlers: [],
      })
      await store().append(event)
      const { body, handlers: _, ...same } = event
      expect(await store().event(event.uid)).toEqual({
        ...same,
        outcome: 'none',
        sizeBytes: 256,
        checksum: createHash('sha256').update(body).digest('hex'),
        deliveries: [],
      })
      expect(Buffer.from(await store().body(event.uid))).toEqual(Buffer.from(body))
    })

    test('leaves out what an event does not have instead of storing null', async () => {
      const event = newEvent()
      await store().append(event)
      const found = await store().event(event.uid)
      expect(found).toMatchObject({ uid: event.uid, reasons: [] })
      expect(Object.keys(found ?? {})).not.toEqual(expect.arrayContaining(['task']))
      expect(found).not.toHaveProperty('apiVersion')
      expect(found).not.toHaveProperty('traceparent')
      expect(found).not.toHaveProperty('receivedFrom')
      expect(found).not.toHaveProperty('verifiedBy')
    })

    test('stores a long body and hands it out as it came, shared with other threads or not, alone or among others', async () => {
      const bytes = Buffer.alloc(2_500_000, Buffer.from(Array.from({ length: 99_991 }, (_, at) => at % 251)))
      const shared = Buffer.from(new SharedArrayBuffer(3_000_000)).fill(7)
      shared.set(bytes)
      const bodies = [shared.subarray(0, bytes.length), Buffer.from('short'), bytes]
      const alone = bodies.map((body) => newEvent({ body }))
      for (const event of alone) await store().append(event)
      const together = bodies.map((body) => newEvent({ body }))
      await Promise.all(together.map((event) => store().append(event)))
      const kept = new Map([...alone, ...together].map(({ uid, body }) => [uid, body]))
      for (const [uid, body] of kept) expect(Buffer.from(await store().body(uid)).equals(body)).toBe(true)
      for (let handedOut = 0; handedOut < kept.size; ) {
        const { work } = await store().claim(claimRequest())
        expect(work.length).toBeGreaterThan(0)
        for (const { event, body } of work) expect(Buffer.from(body).equals(kept.get(event.uid) ?? shared)).toBe(true)
        handedOut += work.length
      }
    })

    test('stores an empty body', async () => {
      const event = newEvent({ body: new Uint8Array() })
      await store().append(event)
      expect((await store().body(event.uid)).length).toBe(0)
    })

    test('gives every handler a delivery, pending and due at once', async () => {
      const event = newEvent({ handlers: ['a', 'b'] })
      await store().append(event)
      expect((await store().event(event.uid))?.deliveries).toEqual(
        ['a', 'b'].map((handler) => ({
          eventUid: event.uid,
          source: 'stripe',
          type: 'invoice.paid',
          handler,
          state: 'pending',
          attempts: 0,
          dueAtMs: START_MS,
          history: [],
        })),
      )
    })

    test('answers a duplicate with the uid of the first event and creates nothing', async () => {
      const first = newEvent()
      await store().append(first)
      const again = { ...first, uid: newUid() }
      expect(await store().append(again)).toEqual({ outcome: 'duplicate', uid: first.uid })
      expect(await store().event(again.uid)).toBeUndefined()
      expect((await store().deliveries({}, { limit: 10 })).items).toHaveLength(1)
    })

    test('takes an event that is repeated in one batch as a duplicate', async () => {
      const first = newEvent()
      const receipts = await Promise.all([first, { ...first, uid: newUid() }].map((each) => store().append(each)))
      expect(receipts).toEqual([
        { outcome: 'accepted', uid: first.uid },
        { outcome: 'duplicate', uid: first.uid },
      ])
    })

    test('stores another body under the same id as a conflict without deliveries', async () => {
      const first = newEvent()
      const other = { ...first, uid: newUid(), body: Buffer.from('other') }
      await store().append(first)
      expect(await store().append(other)).toEqual({ outcome: 'conflict', uid: other.uid })
      expect(await store().event(other.uid)).toMatchObject({ status: 'conflict', deliveries: [] })
    })

    test('stores each conflicting body once', async () => {
      const first = newEvent()
      const append = (body: string) => store().append({ ...first, uid: newUid(), body: Buffer.from(body) })
      await store().append(first)
      const second = await append('second')
      const third = await append('third')
      expect(third.uid).not.toBe(second.uid)
      expect(await append('second')).toEqual(second)
      expect(await append('third')).toEqual(third)
      expect((await store().events({ status: 'conflict' }, { limit: 10 })).items).toHaveLength(2)
    })

    test('takes the same id from another source as another event', async () => {
      const first = newEvent()
      await store().append(first)
      const elsewhere = { ...first, uid: newUid(), source: 'stripe-eu' }
      expect(await store().append(elsewhere)).toEqual({ outcome: 'accepted', uid: elsewhere.uid })
    })

    test('refuses an event that cannot be stored, and stores its neighbours in the batch', async () => {
      const events = [newEvent(), newEvent({ receivedAtMs: Number.NaN }), newEvent()]
      const taken = newEvent({ uid: events[0]?.uid ?? '' })
      const answers = await Promise.all([...events, taken].map((event) => codeOf(store().append(event))))
      expect(answers).toEqual(['it resolved', 'invalid_request', 'it resolved', 'invalid_request'])
      expect((await store().events({}, { limit: 10 })).items).toHaveLength(2)
    })

    test('stores a thousand events at once', async () => {
      const events = Array.from({ length: 1_000 }, () => newEvent())
      const receipts = await Promise.all(events.map((event) => store().append(event)))
      expect(receipts.every(({ outcome }) => outcome === 'accepted')).toBe(true)
      const counts = await store().counts()
      expect(counts.deliveries.pending).toBe(1_000)
    })
  })
}

import { describe, expect, test } from 'vitest'
import type { Settlement } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { LeasedReplay, NewReplayJob, ReplayBatch } from '../../src/domain/replay-jobs.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimOne, claimRequest, newEvent, pruned, START_MS, settlement } from './store-samples.ts'

const LEASE_MS = 6_000

export function describeReplayJobs(fixture: Fixture): void {
  const { store, now, pass } = fixture

  const newJob = async (given: Partial<NewReplayJob> = {}): Promise<NewReplayJob> => ({
    id: newUid(),
    filter: {},
    matched: 1,
    range: await store().replayJobs.range(given.filter ?? {}),
    ...given,
  })
  const create = async (given: Partial<NewReplayJob> = {}): Promise<NewReplayJob> => {
    const job = await newJob(given)
    expect(await store().replayJobs.create(job)).toEqual({ outcome: 'created' })
    return job
  }
  const leased = async (lease = 'one'): Promise<LeasedReplay> => {
    const job = await store().replayJobs.lease(lease, LEASE_MS)
    if (job === undefined) throw new Error('no job was leased')
    return job
  }
  /** The next events of the job, each for handler `a`. */
  const batchOf = async (job: LeasedReplay, limit = 10): Promise<ReplayBatch> => {
    const { events, readTo } = await store().replayJobs.matches(job.filter, job.range, limit)
    const replays = events.map(({ uid }) => ({
      eventUid: uid,
      handlers: ['a'],
      status: 'accepted' as const,
      reasons: [],
      id: job.id,
    }))
    return { job, replays, skips: {}, readTo }
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
  const find = async (id: string) => (await store().replayJobs.find(id)) ?? expect.fail('there is no such job')

  describe('a replay job', () => {
    test('is read back as it was created, with nothing done', async () => {
      await append()
      const given = {
        filter: { type: 'invoice.*', sinceMs: START_MS, task: '\0 ä' },
        handler: 'a',
        by: 'me',
        perSecond: 7,
        probe: { state: 'waiting' } as const,
      }
      const { range: _, ...job } = await create({ ...given, matched: 3, matchedMore: true })
      const expected = { ...job, state: 'running', createdAtMs: START_MS, replayed: 0, skipped: 0, skips: {} }
      expect(await store().replayJobs.find(job.id)).toEqual({ ...expected, outcomes: [] })
      expect((await store().replayJobs.list({ limit: 10 })).items).toEqual([expected])
    })

    test('is created once under one id, also when that one has ended', async () => {
      const first = await create({ filter: { type: 'x' } })
      const again = await newJob({ id: first.id, filter: { type: 'y' } })
      expect(await store().replayJobs.create(again)).toEqual({ outcome: 'same', id: first.id })
      await store().replayJobs.cancel(first.id)
      expect(await store().replayJobs.create(again)).toEqual({ outcome: 'same', id: first.id })
      expect((await find(first.id)).filter).toEqual({ type: 'x' })
    })

    test('is not created while one with the same filter and handler is running, whatever the order of the fields', async () => {
      const first = await create({ filter: { source: 'stripe', type: 'x' } })
      const same = await newJob({ filter: { type: 'x', source: 'stripe' } })
      expect(await store().replayJobs.create(same)).toEqual({ outcome: 'same', id: first.id })
      await create({ filter: { type: 'x', source: 'stripe' }, handler: 'a' })
      await create({ filter: { type: 'x' } })
      await store().replayJobs.cancel(first.id)
      expect(await store().replayJobs.create(same)).toEqual({ outcome: 'created' })
    })

    test('is listed newest first, page by page', async () => {
      const jobs = []
      for (const source of ['a', 'b', 'c', 'd', 'e']) jobs.push(await create({ filter: { source } }))
      const listed = await allPages((page) => store().replayJobs.list(page), 2)
      expect(listed.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id).toReversed())
    })

    test('that does not exist is not found, and cannot be cancelled', async () => {
      for (const id of [newUid(), 'x', '']) {
        expect(await store().replayJobs.find(id)).toBeUndefined()
        expect(await store().replayJobs.cancel(id)).toBeUndefined()
      }
    })

    test('is worked on by one caller at a time, the oldest job first, and by another one once its lease has ended', async () => {
      const first = await create({ filter: { source: 'a' } })
      const second = await create({ filter: { source: 'b' } })
      expect((await leased('one')).id).toBe(first.id)
      expect(await store().replayJobs.lease('two', LEASE_MS)).toBeUndefined()
      pass(LEASE_MS - 1)
      expect((await leased('one')).startedAtMs).toBe(START_MS)
      pass(LEASE_MS - 1)
      expect(await store().replayJobs.lease('two', LEASE_MS)).toBeUndefined()
      pass(1)
      expect(await leased('two')).toMatchObject({ id: first.id, lease: 'two' })
      expect(await store().replayJobs.end(await leased('two'), 'done')).toBe(true)
      expect((await leased('one')).id).toBe(second.id)
    })

    test('is leased at once if its lease was made while the clock was ahead', async () => {
      await create()
      pass(3_600_000)
      await leased('one')
      pass(-3_600_000)
      expect((await leased('two')).lease).toBe('two')
    })

    test('changes nothing for a caller that has lost its lease, nor after it was cancelled', async () => {
      const event = await append()
      await ended()
      const job = await create()
      const stale = await leased('one')
      pass(LEASE_MS)
      const held = await leased('two')
      expect(await store().replayJobs.run(await batchOf(stale))).toBeUndefined()
      expect(await store().replayJobs.end(stale, 'done')).toBe(false)
      expect(await store().replayJobs.cancel(job.id)).toMatchObject({ state: 'cancelled', endedAtMs: now() })
      expect(await store().replayJobs.run(await batchOf(held))).toBeUndefined()
      expect(await store().replayJobs.end(held, 'done')).toBe(false)
      expect((await store().event(event.uid))?.deliveries[0]?.state).toBe('succeeded')
      expect(await store().replayJobs.lease('two', LEASE_MS)).toBeUndefined()
      expect(await find(job.id)).toMatchObject({ state: 'cancelled', replayed: 0, outcomes: [] })
    })

    test('makes deliveries due and never counts a batch twice', async () => {
      const events = [await append(), await append()]
      await store().settle((await store().claim(claimRequest())).work.map((work) => settlement(work)))
      const { id } = await create()
      const batch = await batchOf(await leased())
      expect(await store().replayJobs.run(batch)).toMatchObject([{ handlers: ['a'] }, { handlers: ['a'] }])
      expect(await store().replayJobs.run(batch)).toBeUndefined()
      expect(await find(id)).toMatchObject({ replayed: 2, skipped: 0, outcomes: [{ handler: 'a', pending: 2 }] })
      const { range, outstanding } = await leased()
      expect(range.after).toBe(range.last)
      expect(outstanding).toEqual(new Map([['a', 2]]))
      const { work } = await store().claim(claimRequest())
      expect(work.map(({ event: { uid } }) => uid)).toEqual(events.map(({ uid }) => uid))
    })

    test('counts an event that was skipped under its reason', async () => {
      await append()
      const quarantined = await append({ status: 'quarantined', handlers: [] })
      const { id } = await create()
      const job = await leased()
      const batch = await batchOf(job)
      const replays = batch.replays.map((replay) =>
        replay.eventUid === quarantined.uid
          ? { ...replay, status: 'quarantined' as const, reasons: ['why'], handlers: [] }
          : replay,
      )
      const gone = { eventUid: newUid(), handlers: ['a'], status: 'accepted' as const, reasons: [] }
      await store().replayJobs.run({ ...batch, replays: [...replays, gone], skips: { not_wanted: 2 } })
      expect(await find(id)).toMatchObject({
        replayed: 0,
        skipped: 5,
        skips: { nothing_to_run: 1, not_accepted: 1, gone: 1, not_wanted: 2 },
      })
    })

    test('counts what became of its deliveries by handler, also after other replays and after retention has deleted them', async () => {
      const events = []
      for (let at = 0; at < 4; at++) events.push(await append({ handlers: at === 0 ? ['a', 'b'] : ['a'] }))
      const all = claimRequest({
        handlers: [
          { name: 'a', limit: 9 },
          { name: 'b', limit: 9 },
        ],
      })
      await store().settle((await store().claim(all)).work.map((work) => settlement(work)))
      const { id } = await create()
      const batch = await batchOf(await leased())
      await store().replayJobs.run({
        ...batch,
        replays: batch.replays.map((each) => ({ ...each, handlers: ['a', 'b'] })),
      })
      // Of `b`, three are created.
      expect((await find(id)).outcomes).toMatchObject([
        { handler: 'a', pending: 4 },
        { handler: 'b', pending: 4 },
      ])
      const onlyA = { handlers: [{ name: 'a', limit: 9 }] }
      await ended()
      await ended(DEAD)
      await ended(RETRY)
      const outcomes = [
        { handler: 'a', pending: 1, failing: 1, succeeded: 1, dead: 1, discarded: 0 },
        { handler: 'b', pending: 4, failing: 0, succeeded: 0, dead: 0, discarded: 0 },
      ]
      expect((await find(id)).outcomes).toEqual(outcomes)
      expect((await leased()).outstanding).toEqual(
        new Map([
          ['a', 1],
          ['b', 4],
        ]),
      )
      const running = await claimOne(store(), onlyA)
      expect((await find(id)).outcomes).toEqual(outcomes)
      await store().settle([settlement(running)])

      await store().replay({ eventUid: events[0]?.uid ?? '', handlers: ['a'], status: 'accepted', reasons: [] })
      await ended()
      await store().settle(
        (await store().claim({ ...all, handlers: [{ name: 'b', limit: 9 }] })).work.map((work) => settlement(work)),
      )
      pass(100_000)
      await ended(DEAD)
      await pruned(store(), START_MS + 10_000_000)
      expect((await find(id)).outcomes).toEqual([
        { handler: 'a', pending: 0, failing: 0, succeeded: 2, dead: 2, discarded: 0 },
        { handler: 'b', pending: 0, failing: 0, succeeded: 4, dead: 0, discarded: 0 },
      ])
    })

    test('records its probe and why it was stopped', async () => {
      await append()
      await ended()
      const { id } = await create({ probe: { state: 'waiting' } })
      const batch = await batchOf(await leased())
      const [uid = ''] = batch.replays.map(({ eventUid }) => eventUid)
      await store().replayJobs.run({ ...batch, probe: { state: 'running', uid, handlers: ['a'] } })
      expect((await leased()).probe).toEqual({ state: 'running', uid, handlers: ['a'] })
      const probe = { state: 'failed', uid, outcome: 'failed', error: 'still \0 broken' } as const
      expect(await store().replayJobs.end(await leased(), 'stopped', probe)).toBe(true)
      expect(await find(id)).toMatchObject({ state: 'stopped', probe, reason: 'still \0 broken', endedAtMs: now() })
    })

    test('has a probe only wait for handlers that run for it', async () => {
      await append({ handlers: ['a', 'b'] })
      await ended(DEAD)
      await create({ filter: { delivery: 'dead' }, probe: { state: 'waiting' } })
      const batch = await batchOf(await leased())
      const replays = batch.replays.map((replay) => ({ ...replay, handlers: ['b', 'a'], only: 'dead' as const }))
      const [uid = ''] = replays.map(({ eventUid }) => eventUid)
      const probe = { state: 'running', uid, handlers: ['b', 'a'] } as const
      const [ran] = (await store().replayJobs.run({ ...batch, replays, probe })) ?? []
      expect(ran?.handlers).toHaveLength(1)
      expect((await leased()).probe).toEqual({ ...probe, handlers: ran?.handlers })
    })

    test('is deleted some time after it ended, with the newest job kept by the embedded store', async () => {
      const [old, running] = [await create({ filter: { source: 'a' } }), await create({ filter: { source: 'b' } })]
      await store().replayJobs.cancel(old.id)
      expect(await store().replayJobs.prune(now(), 10)).toBe(0)
      expect(await store().replayJobs.prune(now() + 1, 10)).toBe(1)
      expect((await store().replayJobs.list({ limit: 10 })).items.map(({ id }) => id)).toEqual([running.id])
    })
  })
}

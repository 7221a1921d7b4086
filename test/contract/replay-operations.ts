import fc from 'fast-check'
import { expect } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import { newUid } from '../../src/domain/names.ts'
import type { ModelReplayJob } from './model-delivery.ts'
import { handlers, operation, orderKeys, type Run, source, status } from './operation.ts'
import { place } from './order-operations.ts'
import { codeOf } from './store-samples.ts'

const routing = {
  handlers,
  status,
  reasons: fc.constantFrom([], ['why']),
  only: fc.constantFrom(undefined, 'dead' as const, 'waiting' as const),
  orderKeys,
}

export const replay = operation(
  'replay',
  fc.record({
    which: fc.nat({ max: 10 }),
    ...routing,
  }),
  async ({ which, only, ...rest }, run) => {
    const { store, model } = run
    const { nowMs } = run.time
    const given = { eventUid: model.events.at(which)?.given.uid ?? newUid(), ...rest, ...(only && { only }) }
    const expected = model.replay(given, nowMs)
    if (expected === undefined) expect(await codeOf(store.replay(given))).toBe('event_not_found')
    else expect(await store.replay(given)).toEqual(expected)
    await place(run)
  },
)

/** The events of a source, or all, in batches; the store tells what became of their deliveries: `compareJobs`. */
export const replayByJob = operation(
  'replayByJob',
  fc.record({ filter: fc.record({ source }, { requiredKeys: [] }), size: fc.integer({ min: 1, max: 4 }), ...routing }),
  async ({ filter, size, only, ...rest }, run) => {
    const { store, model, time, jobs } = run
    const job: ModelReplayJob = { id: newUid(), taken: [] }
    const range = await store.replayJobs.range(filter)
    const events = model.events.filter(({ given }) => filter.source === undefined || given.source === filter.source)
    expect(await store.replayJobs.create({ id: job.id, filter, matched: events.length, range })).toEqual({
      outcome: 'created',
    })
    jobs.push(job)
    const uids: string[] = []
    for (let { after } = range; after < range.last; ) {
      const leased = await store.replayJobs.lease('one', 1_000)
      if (leased?.id !== job.id) throw new Error('another job was leased')
      const { events: matches, readTo } = await store.replayJobs.matches(filter, { ...range, after }, size)
      uids.push(...matches.map(({ uid }) => uid))
      const replays = matches.map(({ uid }) => ({ eventUid: uid, ...rest, ...(only && { only }), id: job.id }))
      const expected = replays.map((each) => model.replay(each, time.nowMs, job))
      expect(await store.replayJobs.run({ job: leased, replays, skips: {}, readTo })).toEqual(expected)
      await place(run)
      after = readTo
    }
    expect(uids).toEqual(events.map(({ given }) => given.uid))
    const last = await store.replayJobs.lease('one', 1_000)
    expect(last && (await store.replayJobs.end(last, 'done'))).toBe(true)
  },
)

/** What became of the deliveries of every job is counted right. */
export async function compareJobs({ store, model, jobs }: Run): Promise<void> {
  for (const job of jobs) {
    const own = [...job.taken, ...model.deliveries().filter((delivery) => delivery.job === job)]
    const counted = (await store.replayJobs.find(job.id))?.outcomes ?? []
    const told = counted.map(({ handler, pending, failing, ...ended }) => ({
      handler,
      open: pending + failing,
      ...ended,
    }))
    const names = [...new Set(own.map(({ handler }) => handler))].toSorted()
    const counts = (handler: string) =>
      Object.fromEntries(
        DELIVERY_STATES.map((state) => [
          state,
          own.filter((each) => each.handler === handler && each.state === state).length,
        ]),
      )
    expect(told).toEqual(
      names.map((handler) => {
        const { pending = 0, running = 0, ...ended } = counts(handler)
        return { handler, open: pending + running, ...ended }
      }),
    )
  }
}

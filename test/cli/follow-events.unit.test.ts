import { expect, onTestFinished, test } from 'vitest'
import { CommandError } from '../../src/cli/command.ts'
import { type FollowOptions, followEvents, OpsRetry } from '../../src/cli/follow-events.ts'
import type { OpsClient, QueryParameters } from '../../src/cli/ops-client.ts'

interface Row {
  readonly uid: string
  readonly received_at: string
}

const NOW_MS = Date.parse('2026-11-27T12:00:00Z')
const at = (seconds: number): string => new Date(NOW_MS + seconds * 1_000).toISOString()

/** A service whose list of events is what the test makes of it, two events on each page. */
function service(rows: Row[]) {
  const outages: unknown[] = []
  const state = { isAway: false, asked: 0 }
  const get = async ({ since, cursor, limit }: QueryParameters) => {
    state.asked++
    if (state.isAway) throw new CommandError('no answer')
    const newestFirst = rows.toSorted((one, other) => (one.received_at < other.received_at ? 1 : -1))
    const start = Number(cursor ?? 0)
    const inTime = newestFirst.filter(({ received_at }) => since === undefined || received_at >= String(since))
    const end = start + Math.min(2, Number(limit))
    return { items: inTime.slice(start, end), next_cursor: end < inTime.length ? String(end) : null }
  }
  const ops = { get: (_path: string, query: QueryParameters = {}) => get(query) } as unknown as OpsClient
  const ending = new AbortController()
  onTestFinished(() => ending.abort())
  const follow = (options: Partial<FollowOptions> = {}) =>
    followEvents(ops, new OpsRetry(ending.signal, (error) => void outages.push(error)), {
      source: undefined,
      type: undefined,
      since: undefined,
      signal: ending.signal,
      onSkipped: () => {},
      pollMs: 1,
      ...options,
    })
  return { follow, state, outages, end: () => ending.abort() }
}

type Events = Awaited<ReturnType<typeof followEvents>>

async function next(events: Events, count: number): Promise<readonly string[]> {
  const uids: string[] = []
  while (uids.length < count) uids.push((await events.next()).value.uid)
  return uids
}

test('the events that come later are found, each once, in order of receipt', async () => {
  const rows = [{ uid: 'old', received_at: at(0) }]
  const events = await service(rows).follow()
  for (const [nth, uid] of ['a', 'b', 'c', 'd', 'e'].entries()) rows.push({ uid, received_at: at(nth + 1) })
  expect(await next(events, 5)).toEqual(['a', 'b', 'c', 'd', 'e'])
  rows.push({ uid: 'f', received_at: at(6) })
  expect(await next(events, 1)).toEqual(['f'])
})

test('an event that is stored late is found although many that were received after it are known', async () => {
  const rows = [{ uid: 'old', received_at: at(0) }]
  const events = await service(rows).follow()
  for (let nth = 0; nth < 9; nth++) rows.push({ uid: `n${nth}`, received_at: at(10 + nth) })
  await next(events, 9)
  rows.push({ uid: 'late', received_at: at(12.5) })
  expect(await next(events, 1)).toEqual(['late'])
})

test('the first event of an empty service is found', async () => {
  const rows: Row[] = []
  const events = await service(rows).follow()
  rows.push({ uid: 'first', received_at: at(0) })
  expect(await next(events, 1)).toEqual(['first'])
})

test('with a time to begin with, all since then are found, and none from before', async () => {
  const rows = ['a', 'b', 'c', 'd'].map((uid, nth) => ({ uid, received_at: at(nth) }))
  const events = await service(rows).follow({ since: at(2) })
  expect(await next(events, 2)).toEqual(['c', 'd'])
  rows.push({ uid: 'e', received_at: at(4) })
  expect(await next(events, 1)).toEqual(['e'])
})

test('listen reports an outage once at its beginning and once at its end, and misses no event', async () => {
  const rows = [{ uid: 'old', received_at: at(0) }]
  const { follow, state, outages } = service(rows)
  const events = await follow()
  state.isAway = true
  const found = next(events, 1)
  const { asked } = state
  while (state.asked < asked + 1) await new Promise(setImmediate)
  rows.push({ uid: 'a', received_at: at(1) })
  state.isAway = false
  expect(await found).toEqual(['a'])
  expect(outages).toEqual([expect.any(CommandError), undefined])
})

test('the events end with the signal, and a service that does not answer at first is an error', async () => {
  const { follow, state, end } = service([])
  const events = await follow()
  end()
  expect((await events.next()).done).toBe(true)
  state.isAway = true
  await expect(follow()).rejects.toThrow('no answer')
})

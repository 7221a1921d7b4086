import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Prefetch } from '../../src/dispatch/prefetch.ts'
import type { Work } from '../../src/domain/delivery.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const work = (deliveryId: number, handler = 'a', bytes = 1_000): Work =>
  ({ deliveryId, handler, isolated: false, body: new Uint8Array(bytes) }) as unknown as Work
/** A prefetch whose handlers have no capacity, except for those in `free`. */
const started = (
  handlers: readonly string[],
  free: readonly string[] = [],
  onLate: (all: readonly Work[]) => void = () => {},
) =>
  new Prefetch(handlers, {
    limits: { mayStart: (name) => free.includes(name), running: (name) => (name === 'b' ? 1 : 2) },
    mayWait: (name) => name !== 'never',
    onLate,
  })
/** How many deliveries of the handler a claim should lease. */
const wanted = (prefetch: Prefetch, handler = 'a'): number =>
  prefetch.claimLimits({ handlers: [], total: 0 }).handlers.find(({ name }) => name === handler)?.limit ?? 0
const ids = (all: readonly Work[]): readonly number[] => all.map(({ deliveryId }) => deliveryId)

/** Has `perMs` attempts of the handler end in each of these milliseconds. */
function run(prefetch: Prefetch, perMs: number, ms: number, bytes = 1_000): void {
  const ended = work(0, 'a', bytes)
  for (let at = 0; at < ms; at++) {
    vi.advanceTimersByTime(1)
    for (let n = 0; n < perMs; n++) prefetch.ended(ended)
    wanted(prefetch)
  }
}

test('a handler that ends ten attempts in a millisecond gets what it ends in 25 ms', () => {
  const prefetch = started(['a', 'b'])
  expect(wanted(prefetch)).toBe(0)
  run(prefetch, 10, 100)
  expect(wanted(prefetch)).toBeGreaterThan(230)
  expect(wanted(prefetch)).toBeLessThanOrEqual(250)
  expect(wanted(prefetch, 'b')).toBe(0)
})

test('a handler whose attempts take long gets nothing ahead', () => {
  const prefetch = started(['a'])
  for (let n = 0; n < 20; n++) {
    vi.advanceTimersByTime(100)
    prefetch.ended(work(0))
    expect(wanted(prefetch)).toBe(0)
  }
})

test('a handler that has become slow gets less and less ahead, and in the end nothing', () => {
  const prefetch = started(['a'])
  run(prefetch, 10, 100)
  run(prefetch, 0, 300)
  expect(wanted(prefetch)).toBe(0)
})

test('never more than 512 deliveries of a handler are leased ahead, and fewer if their bodies are long', () => {
  const prefetch = started(['a'])
  run(prefetch, 1_000, 20)
  expect(wanted(prefetch)).toBe(512)
  run(prefetch, 1_000, 20, 1024 * 1024)
  expect(wanted(prefetch)).toBe(8)
})

test('long bodies count before the first of them has ended', () => {
  const prefetch = started(['a'])
  run(prefetch, 1_000, 20)
  for (let n = 0; n < 8; n++) prefetch.keeps(work(n, 'a', 1024 * 1024))
  expect(wanted(prefetch)).toBe(0)
})

test('nothing more is leased ahead while half of it still waits', () => {
  const free: string[] = []
  const prefetch = started(['a'], free)
  run(prefetch, 10, 100)
  const most = wanted(prefetch)
  for (let n = 0; n < most; n++) prefetch.keeps(work(n))
  expect(wanted(prefetch)).toBe(0)
  free.push('a')
  for (let n = 0; n <= most / 2; n++) prefetch.next()
  expect(wanted(prefetch)).toBeGreaterThanOrEqual(Math.floor(most / 2))
})

test('deliveries of a handler start in the order of their claims, and those of the handler that runs the fewest go first', () => {
  const free: string[] = []
  const prefetch = started(['a', 'b'], free)
  for (const [id, handler] of [
    [1, 'a'],
    [2, 'b'],
    [3, 'a'],
  ] as const)
    expect(prefetch.keeps(work(id, handler))).toBe(true)
  expect(prefetch.next()).toBeUndefined()
  free.push('a')
  expect(prefetch.next()?.deliveryId).toBe(1)
  expect([prefetch.has('a'), prefetch.has('b')]).toEqual([true, true])
  free.push('b')
  expect([prefetch.next()?.deliveryId, prefetch.next()?.deliveryId, prefetch.next()]).toEqual([2, 3, undefined])
  expect([prefetch.has('a'), prefetch.has('b')]).toEqual([false, false])
})

test('a delivery that can start is not kept, unless older ones of its handler wait', () => {
  const free: string[] = []
  const prefetch = started(['a'], free)
  expect(prefetch.keeps(work(1))).toBe(true)
  free.push('a')
  expect(prefetch.keeps(work(2))).toBe(true)
  expect([prefetch.next()?.deliveryId, prefetch.next()?.deliveryId]).toEqual([1, 2])
  expect(prefetch.keeps(work(3))).toBe(false)
})

test('a delivery that runs isolated, or whose handler must not wait, is not kept', () => {
  const prefetch = started(['a', 'never'])
  expect(prefetch.keeps(work(1, 'never'))).toBe(false)
  expect(prefetch.keeps({ ...work(2), isolated: true })).toBe(false)
  expect(prefetch.takeAll()).toEqual([])
})

test('a delivery that has waited for a second is given back, and one that came later is not', () => {
  const late: number[] = []
  const prefetch = started(['a'], [], (all) => late.push(...ids(all)))
  prefetch.keeps(work(1))
  vi.advanceTimersByTime(600)
  prefetch.keeps(work(2))
  vi.advanceTimersByTime(401)
  expect(late).toEqual([1])
  vi.advanceTimersByTime(1_000)
  expect(late).toEqual([1, 2])
  expect(vi.getTimerCount()).toBe(0)
})

test('no timer is left once everything was taken', () => {
  const free: string[] = []
  const prefetch = started(['a'], free)
  prefetch.keeps(work(1))
  free.push('a')
  prefetch.next()
  prefetch.keeps(work(2))
  expect(vi.getTimerCount()).toBe(0)
  free.pop()
  prefetch.keeps(work(3))
  expect(ids(prefetch.takeAll())).toEqual([3])
  expect(vi.getTimerCount()).toBe(0)
})

import pino from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import type { DispatcherOptions } from '../../src/dispatch/dispatcher-options.ts'
import type { Work } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'

/** A dispatcher over a store that notes when it is looked into. */
function startDispatcher(given: Pick<DispatcherOptions, 'minIdleMs' | 'maxIdleMs'> & Partial<DispatcherOptions>) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  // Where time stands still, a turn of the loop takes none.
  vi.stubGlobal('setImmediate', queueMicrotask)
  onTestFinished(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })
  const startedMs = Date.now()
  const looks: number[] = []
  const state: { work: readonly Work[]; nextDueAtMs: number | undefined; isSilent: boolean } = {
    work: [],
    nextDueAtMs: undefined,
    isSilent: false,
  }
  const ignore = (): void => {}
  const dispatcher = new Dispatcher({
    handlersDir: '/handlers',
    store: {
      claim: async () => {
        looks.push(Date.now() - startedMs)
        if (state.isSilent) await new Promise(() => {})
        const { work, nextDueAtMs } = state
        Object.assign(state, { work: [], nextDueAtMs: undefined })
        return { work, nextDueAtMs }
      },
      settle: async () => [],
    },
    pool: {
      onCapacity: ignore,
      extra: 0,
      freeStable: 100,
      free: () => ({ stable: 100, unstable: 0, isolated: 1 }),
      isUnstable: () => false,
      mayStart: () => true,
      // It takes its time, and does not matter here.
      run: () => new Promise(() => {}),
      abort: ignore,
      close: async () => {},
    },
    handlers: [{ name: 'a', types: ['*'] }],
    routesOf: (source) => ({ source, accepts: ['*'], handlers: [] }),
    receiving: () => 0,
    redact: (text) => text,
    attempts: { timeoutMs: 0, retry: { maxAttempts: 1, baseMs: 0, capMs: 0 } },
    clock: Date.now,
    random: Math.random,
    telemetry: {} as DispatcherOptions['telemetry'],
    log: pino({ level: 'silent' }),
    monotonicMs: Date.now,
    ...given,
  })
  /** When it looked within the next so many milliseconds. */
  const looksWithin = async (ms: number): Promise<number[]> => {
    const from = looks.length
    await vi.advanceTimersByTimeAsync(ms)
    return looks.slice(from)
  }
  return { dispatcher, state, looksWithin }
}

const work = { handler: 'a', event: {} } as unknown as Work

test('a dispatcher of a shared store claims again soon after it found deliveries, and more and more rarely while it finds none', async () => {
  const { dispatcher, state, looksWithin } = startDispatcher({ minIdleMs: 50, maxIdleMs: () => 200 })
  dispatcher.wake()
  expect(await looksWithin(749)).toEqual([0, 50, 150, 350, 550])
  state.work = [work]
  expect(await looksWithin(350)).toEqual([750, 750, 800, 900])
})

test('a dispatcher claims often again as soon as other processes may append', async () => {
  let maxIdleMs = 1_000
  const { dispatcher, looksWithin } = startDispatcher({ minIdleMs: 500, maxIdleMs: () => maxIdleMs })
  dispatcher.wake()
  expect(await looksWithin(2_600)).toEqual([0, 500, 1_500, 2_500])
  maxIdleMs = 200
  expect(await looksWithin(1_400)).toEqual([3_500, 3_700, 3_900])
})

test('a dispatcher that is woken and finds nothing due does not claim more rarely', async () => {
  const { dispatcher, state, looksWithin } = startDispatcher({ minIdleMs: 50, maxIdleMs: () => 200 })
  state.work = [work]
  dispatcher.wake()
  expect(await looksWithin(10)).toEqual([0, 0])
  for (let n = 0; n < 3; n++) {
    dispatcher.wake()
    expect(await looksWithin(10)).toEqual([10 + n * 10])
  }
  expect(await looksWithin(41)).toEqual([80])
})

test('a dispatcher stops in time if the store never answers', async () => {
  const { dispatcher, state, looksWithin } = startDispatcher({})
  state.isSilent = true
  dispatcher.wake()
  expect(await looksWithin(10)).toEqual([0])
  let hasStopped = false
  void dispatcher.stop(100, 50).then(() => {
    hasStopped = true
  })
  await looksWithin(300)
  expect(hasStopped).toBe(true)
})

test('a dispatcher claims when the next delivery comes due, if that is before the end of its sleep', async () => {
  const { dispatcher, state, looksWithin } = startDispatcher({ minIdleMs: 50, maxIdleMs: () => 200 })
  state.nextDueAtMs = Date.now() + 20
  dispatcher.wake()
  expect(await looksWithin(30)).toEqual([0, 20])
})

test('a dispatcher of an embedded store claims once a second by default', async () => {
  const { dispatcher, looksWithin } = startDispatcher({})
  dispatcher.wake()
  expect(await looksWithin(3_500)).toEqual([0, 1_000, 2_000, 3_000])
})

test('a dispatcher does not claim for a handler whose rate is used up, however often it is woken, until the next start is allowed', async () => {
  const handlers = [{ name: 'a', types: ['*'], rate: { limit: 1, perMs: 300 } }]
  const { dispatcher, state, looksWithin } = startDispatcher({ handlers, maxIdleMs: () => 10_000 })
  state.work = [work]
  dispatcher.wake()
  expect(await looksWithin(10)).toEqual([0])
  for (let n = 0; n < 5; n++) {
    dispatcher.wake(['a'])
    expect(await looksWithin(10)).toEqual([])
  }
  state.work = [work]
  expect(await looksWithin(300)).toEqual([300])
  // Only the claim after the next start can tell that nothing else waits.
  expect(await looksWithin(2_000)).toEqual([600])
})

test('a dispatcher claims for other handlers at once while the rate of one is used up, and does not ask for that one', async () => {
  const handlers = [
    { name: 'a', types: ['*'], rate: { limit: 2, perMs: 300 } },
    { name: 'b', types: ['*'] },
  ]
  const asked: (readonly [string, number])[][] = []
  const store: DispatcherOptions['store'] = {
    claim: async (request) => {
      asked.push(request.handlers.map(({ name, limit }) => [name, limit]))
      return { work: asked.length === 1 ? [work, work] : [], nextDueAtMs: undefined }
    },
    settle: async () => [],
  }
  const { dispatcher, looksWithin } = startDispatcher({ handlers, store, maxIdleMs: () => 10_000 })
  dispatcher.wake()
  await looksWithin(10)
  dispatcher.wake(['a', 'b'])
  await looksWithin(10)
  expect(asked).toEqual([
    [
      ['a', 2],
      ['b', 100],
    ],
    [['b', 100]],
    [['b', 100]],
  ])
  await looksWithin(300)
  expect(asked.slice(3)).toEqual([
    [
      ['a', 2],
      ['b', 100],
    ],
  ])
})

test('a dispatcher offers a handler for no more events at once than its rate allows', async () => {
  const handlers = [{ name: 'a', types: ['*'], rate: { limit: 2, perMs: 300 } }]
  const { dispatcher, looksWithin } = startDispatcher({ handlers, maxIdleMs: () => 10_000 })
  dispatcher.wake()
  await looksWithin(10)
  const offers = [1, 2, 3].map(() => dispatcher.offer(['a'], 'acme'))
  expect(offers.map((offer) => offer?.handlers)).toEqual([['a'], ['a'], undefined])
  const [first] = offers
  if (first !== undefined) dispatcher.take(first, {} as NewEvent, [])
  expect(dispatcher.offer(['a'], 'acme')?.handlers).toEqual(['a'])
})

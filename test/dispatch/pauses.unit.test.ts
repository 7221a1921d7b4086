import pino from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Pauses } from '../../src/dispatch/pauses.ts'

test('the store is asked what is paused twice a second while other processes use it, and every five seconds while none does', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const list = vi.fn(async () => [])
  const state = { hasOthers: false }
  const pauses = new Pauses({
    store: { list, releaseHeld: async () => 0, pause: async () => expect.fail(), resume: async () => undefined },
    isShared: true,
    hasOthers: () => state.hasOthers,
    onChange: () => {},
    log: pino({ level: 'silent' }),
  })
  const readsIn = async (ms: number): Promise<number> => {
    list.mockClear()
    await vi.advanceTimersByTimeAsync(ms)
    return list.mock.calls.length
  }
  await pauses.start()
  await readsIn(1)
  expect(await readsIn(20_000)).toBe(4)
  state.hasOthers = true
  expect(await readsIn(20_000)).toBe(40)
  await pauses.stop()
})

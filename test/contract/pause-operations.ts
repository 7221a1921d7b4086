import fc from 'fast-check'
import { expect } from 'vitest'
import { releaseHeld } from './model-delivery.ts'
import { operation, source } from './operation.ts'

const pause = operation('pause', source, async (name, { store, model }) => {
  model.pausedSources.add(name)
  expect(await store.pauses.pause({ kind: 'source', name, by: 'test' })).toMatchObject({ kind: 'source', name })
})

const resume = operation('resume', source, async (name, { store, model }) => {
  const resumed = await store.pauses.resume('source', name)
  expect(resumed !== undefined).toBe(model.pausedSources.delete(name))
})

const release = operation('releaseHeld', fc.constantFrom(1, 3, 50), async (limit, { store, model, time }) => {
  const released = releaseHeld(model.deliveries(), model.pausedSources, limit, time.nowMs)
  expect(await store.pauses.releaseHeld(limit)).toBe(released)
})

/** Pauses of sources: their deliveries are settled as held, and released. */
export const pauseOrResume = fc.oneof(pause, resume, release)

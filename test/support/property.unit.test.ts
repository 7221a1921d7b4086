import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, type Mock, test, vi } from 'vitest'
import { propertyParameters } from './property.ts'

const wait = (ms: number) => fc.asyncProperty(fc.nat(), () => sleep(ms))

describe('the parameters of a property', () => {
  let log: Mock<typeof console.log>
  beforeEach(() => {
    log = vi.spyOn(console, 'log').mockImplementation(() => {})
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
  })

  test('let a failure report its seed and its counterexample', () => {
    vi.stubEnv('PROPERTY_SEED', '7')
    const property = fc.property(fc.nat(), (value) => value < 10)
    expect(() => fc.assert(property, propertyParameters())).toThrow(/seed: 7, [^]*Counterexample: \[10\]/)
  })

  test('end a search after its time limit, with the runs that it had', async () => {
    await fc.assert(wait(20), propertyParameters({ runs: 1_000_000, limitMs: 50 }))
    expect(log.mock.lastCall?.[0]).toMatch(/in [1-9]\d* of 1000000 runs.* 50 ms .*\(seed \d+\)/)
  })

  test('wait for the current run when the time is over, and fail if it fails', async () => {
    const property = fc.asyncProperty(fc.nat(), async () => {
      await sleep(20)
      throw new Error('late')
    })
    await expect(fc.assert(property, propertyParameters({ limitMs: 10 }))).rejects.toThrow(/Counterexample/)
  })

  test('keep the counterexample that was found when the time is over', async () => {
    const property = fc.asyncProperty(fc.array(fc.nat(), { minLength: 20, maxLength: 40 }), async () => {
      await sleep(20)
      throw new Error('each')
    })
    await expect(fc.assert(property, propertyParameters({ limitMs: 50 }))).rejects.toThrow(/seed: [^]*Counterexample/)
  })

  test('let a run that hangs fail', async () => {
    const parameters = propertyParameters({ runLimitMs: 10, limitMs: 50 })
    await expect(fc.assert(wait(1_000), parameters)).rejects.toThrow(/Counterexample/)
  })

  test('have a long search print its seed before it starts', () => {
    vi.stubEnv('PROPERTY_SEED', '7')
    propertyParameters()
    expect(log).not.toHaveBeenCalled()
    propertyParameters({ limitMs: 1_000 })
    expect(log).toHaveBeenCalledExactlyOnceWith('seed 7')
  })
})

import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { extraCapacity } from '../../src/dispatch/pool/shared-processes.ts'
import { createPool, work } from '../dispatch/start-pool.ts'
import { eventually } from '../support/eventually.ts'
import { propertyParameters } from '../support/property.ts'

/** Sequences of attempts. */
const SEQUENCES = 25
const TIMEOUT_MS = 500
/** For all attempts of a sequence to come to their ends: each culprit may cost several processes. */
const MAX_END_MS = 90_000
/** Attempts in which one runs alone. */
const ALONE = 4

const INNOCENT = ['ok', 'wait', 'raw', 'throw', 'later'] as const
const HARMLESS = ['block', 'float', 'heed'] as const
const GUILTY = ['exit', 'abort', 'loop', 'sleep', 'buffers', 'garbage', 'last-word', 'hang'] as const

/** Attempts come in bursts and one after the other. */
const attempt = fc.record({
  pick: fc.nat(99),
  gapMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ max: 300, min: 1 }) }),
  isolated: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
})

/** Few handlers are guilty, and some of them again and again. */
const sequence = fc
  .record({
    processes: fc.integer({ min: 1, max: 3 }),
    concurrency: fc.integer({ min: 1, max: 16 }),
    guilty: fc.shuffledSubarray([...GUILTY], { minLength: 1, maxLength: 3 }),
    guiltyPart: fc.constantFrom(5, 20, 80),
    picks: fc.array(attempt, { minLength: 10, maxLength: 60, size: 'max' }),
  })
  .map(({ guilty, guiltyPart, picks, ...pool }) => ({
    ...pool,
    attempts: picks.map(({ pick, ...each }) => {
      const handlers = pick < guiltyPart ? guilty : [...INNOCENT, ...HARMLESS]
      return { ...each, handler: handlers[pick % handlers.length] ?? 'ok' }
    }),
  }))

const bodyFor = (handler: string): string =>
  handler === 'raw' ? '{"type":"raw", "n":1.0}' : `{"type":"${handler}","ms":50}`

const isInnocent = (handler: string): boolean => (INNOCENT as readonly string[]).includes(handler)

test('the pool ends each attempt, whatever their order, charges no innocent one, and has all its capacity free again', async () => {
  await fc.assert(
    fc.asyncProperty(sequence, async ({ processes, concurrency, attempts }) => {
      const pool = createPool({ processes, concurrency, timeoutMs: TIMEOUT_MS })
      try {
        await pool.start()
        const runs: Promise<readonly [string, string]>[] = []
        const open = new Map<number, string>()
        for (const [at, { handler, gapMs, isolated }] of attempts.entries()) {
          open.set(at, handler)
          const run = pool.run(work(handler, bodyFor(handler), isolated)).then((ran) => {
            open.delete(at)
            return [handler, ran.outcome] as const
          })
          runs.push(run)
          if (gapMs > 0) await sleep(gapMs)
        }
        await Promise.race([Promise.all(runs), sleep(MAX_END_MS)])
        expect([...open.values()]).toEqual([])
        const outcomes = await Promise.all(runs)
        const charged = outcomes.filter(([handler, outcome]) => isInnocent(handler) && outcome === 'process_lost')
        const waitedTooLong = outcomes.filter(([, outcome]) => outcome === 'released')
        expect({ charged, waitedTooLong }).toEqual({ charged: [], waitedTooLong: [] })
        // Those that hang for ever keep theirs, unless they are so many that their process is ended.
        const hanging = attempts.filter(({ handler }) => handler === 'hang').length
        const least = processes * (concurrency + extraCapacity(concurrency)) - hanging
        await eventually(
          async () => pool.free(),
          ({ stable, isolated }) => stable >= least && isolated === ALONE,
        )
        expect(await pool.run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
      } finally {
        await pool.close()
      }
    }),
    propertyParameters({ runs: SEQUENCES, endOnFailure: true, limitMs: 180_000, runLimitMs: MAX_END_MS + 20_000 }),
  )
})

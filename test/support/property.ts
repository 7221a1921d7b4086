import { randomInt } from 'node:crypto'
import fc from 'fast-check'

/** How long a property is tried with other values. */
export interface Search {
  readonly runs?: number
  /**
   * After this time no other run starts, and the runs so far count. A search that sets it is a long one: it prints its
   * seed before it starts, because a test that is ended by its timeout reports no seed.
   */
  readonly limitMs?: number
  /** A run that takes longer fails. The test's timeout must be longer than both limits together. */
  readonly runLimitMs?: number
  /** Reports the first counterexample as it is, where runs are slow. */
  readonly endOnFailure?: boolean
}

/** The parameters of every property in these tests. `PROPERTY_SEED=n` tries the values of that seed again. */
export function propertyParameters<Values>({
  runs = 100,
  limitMs,
  runLimitMs = 20_000,
  endOnFailure = false,
}: Search = {}): fc.Parameters<Values> {
  const seed = Number(process.env.PROPERTY_SEED ?? randomInt(2 ** 31))
  if (limitMs !== undefined) console.log(`seed ${seed}`)
  return {
    seed,
    numRuns: runs,
    timeout: runLimitMs,
    endOnFailure,
    plugins: [interruptBetweenRuns(limitMs ?? 30_000)],
  }
}

/**
 * Like fast-check's `interruptAfterTimeLimit`, which leaves the interrupted run going: it would still write to the store
 * that the next test empties. Here the run that is going when the time is over ends, and its result counts.
 */
function interruptBetweenRuns<Values>(limitMs: number): fc.Plugin<Values> {
  return () => {
    let endMs: number | undefined
    return {
      decorateRun: (run) => (values) => {
        const nowMs = performance.now()
        // From the first run on, so that there always is one.
        endMs ??= nowMs + limitMs
        return nowMs < endMs ? run(values) : new fc.PreconditionFailure(true)
      },
      onAllRunsComplete({ interrupted, failed, numRuns, seed, runConfiguration }) {
        if (interrupted && !failed)
          console.log(
            `no counterexample in ${numRuns} of ${runConfiguration.numRuns} runs, which the limit of ${limitMs} ms ended (seed ${seed})`,
          )
      },
    }
  }
}

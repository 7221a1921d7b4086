import { test } from 'vitest'
import { runSchedule } from '../support/fallback-schedule.ts'

/** `test/slow` has many more. */
const TASKS = 60
/** Another one each day, and the one that failed again: FALLBACK_SEED=… */
const SEED = Number(process.env.FALLBACK_SEED ?? Math.floor(Date.now() / 86_400_000))

test(
  `${TASKS} tasks of a provider that behaves badly each end with their true status, and are handled once (seed ${SEED})`,
  {
    timeout: 120_000,
  },
  () => runSchedule(TASKS, SEED),
)

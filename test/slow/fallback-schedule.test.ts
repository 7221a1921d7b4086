import { test } from 'vitest'
import { runSchedule } from '../support/fallback-schedule.ts'

const TASKS = 1_000
const DAY = Math.floor(Date.now() / 86_400_000)

test.each([DAY, DAY * 7, DAY * 11])(
  `${TASKS} tasks of a provider that behaves badly each end with their true status, and are handled once (seed %i)`,
  (seed) => runSchedule(TASKS, seed),
)

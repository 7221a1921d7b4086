import type { OpenStore } from '../../src/domain/store.ts'
import type { ConsoleOptions } from '../../src/http/console/ports.ts'
import type { OpsListenerOptions } from '../../src/http/ops/ops-listener.ts'
import { createReadDay } from '../../src/monitoring/read-day.ts'
import { createReadRecentStats } from '../../src/monitoring/read-recent-stats.ts'
import { opsDefaults } from '../http/ops-service.ts'

/** What the pages of sources and handlers ask, for tests of other pages. */
const NOT_ASKED: Pick<ConsoleOptions, 'sourceSetup' | 'sample' | 'workersWith'> = {
  sourceSetup: () => ({
    variable: 'SOURCE_AI',
    steps: [],
    missed: undefined,
    expectEvery: 'learned',
    registrations: 'no_api',
    makesSecret: false,
    types: [],
    sampleFault: undefined,
  }),
  sample: async () => 'none',
  workersWith: () => undefined,
}

/** What the console reads and changes, over a store; `nowMs`: the time on its pages. */
export const consolePorts = (store: OpenStore, nowMs: number): ConsoleOptions & OpsListenerOptions => ({
  ...opsDefaults(store),
  ...NOT_ASKED,
  clock: () => nowMs,
  day: createReadDay(store, () => nowMs),
  recentStats: createReadRecentStats(store, () => nowMs),
  replicas: undefined,
  configuration: () => ({
    settings: [],
    needRestart: [],
    warnings: [],
    lastReload: { ok: true, succeededAtMs: nowMs },
  }),
})

import { HOUR_MS } from '../../domain/clock.ts'
import type { StatNumbers } from '../../domain/stats.ts'
import type { ServiceStatus } from '../../domain/status.ts'
import type { OpsApp } from '../ops/ops-app.ts'
import { ROOT } from './headers.ts'
import { type Frame, page } from './html/layout.ts'
import type { SeenHandler } from './pages/handler-state.ts'
import { overview } from './pages/overview.ts'

/** From the moment at which the process listens: what waited for it has the main thread for itself. */
const AFTER_MS = 500

/**
 * Renders a sample page and throws it away, soon after the process has begun to listen: code takes several times as long when it runs for
 * the first time. It does not read the store, whose answers would then stand in caches, older than an operator expects.
 */
export function warmUp(app: OpsApp): void {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  app.addHook('onListen', async () => {
    timer = setTimeout(() => {
      running = run(app)
    }, AFTER_MS).unref()
  })
  app.addHook('preClose', async () => {
    clearTimeout(timer)
    await running
  })
}

async function run(app: OpsApp): Promise<void> {
  try {
    // The road of every request, to a file that is open to all.
    await app.inject({ url: `${ROOT}/assets/0/icon.svg`, headers: { host: 'localhost' } })
    samplePage(Date.now())
  } catch {
    // The listener closes.
  }
}

const HOURS = 24
const TIMES = { count: 1_000, meanMs: 2, p50Ms: 1.2, p99Ms: 1_234 }
const NUMBERS: StatNumbers = {
  received: 1_234,
  duplicates: 1,
  refused: new Map(),
  handled: 1_000,
  failed: 10,
  dead: 1,
  recovered: 0,
  quarantined: 0,
  expired: 0,
  ack: TIMES,
  handler: TIMES,
  queue: TIMES,
}
const HANDLER: SeenHandler = {
  name: 'sample',
  handler: undefined,
  isRunning: false,
  pause: undefined,
  causes: [],
  waiting: undefined,
  failing: undefined,
  day: {
    handled: 1_000,
    failed: 10,
    times: TIMES,
    queue: TIMES,
    handledHourly: Array.from({ length: HOURS }, (_, hour) => hour),
    failedHourly: Array.from({ length: HOURS }, (_, hour) => hour % 2),
  },
  isCounted: true,
}
const FRAME: Frame = {
  isOpen: true,
  badges: { dead: { text: '1', tone: 'bad' } },
  version: '',
  about: '2 replicas',
  right: 'OPS_TOKEN',
  theme: 'system',
  times: 'utc',
  keys: true,
  faults: ['sample'],
  csrf: '',
  path: ROOT,
}

const statusAt = (nowMs: number): ServiceStatus => ({
  atMs: nowMs,
  startedAtMs: nowMs,
  role: 'all',
  problems: [
    { problem: 'handler_missing', severity: 'warning', summary: 'sample', count: 1, sinceMs: nowMs, handler: 'sample' },
  ],
  store: { kind: 'sqlite', faults: [], bytes: 1_000_000, freeBytes: 1_000_000 },
  counts: undefined,
  recent: undefined,
  lastEventAtMs: nowMs,
  sources: 0,
  handlers: 1,
  workers: undefined,
})

/** An overview of a service that there is not. */
export function samplePage(nowMs: number): string {
  const firstMs = nowMs - (nowMs % HOUR_MS) - (HOURS - 1) * HOUR_MS
  const points = Array.from({ length: HOURS }, (_, hour) => ({
    ...NUMBERS,
    received: 1_000 + hour,
    atMs: firstMs + hour * HOUR_MS,
  }))
  const content = overview({
    range: '24h',
    nowMs,
    status: statusAt(nowMs),
    stats: { sinceMs: firstMs, untilMs: firstMs + HOURS * HOUR_MS, stepSeconds: 3_600, total: NUMBERS, points },
    sources: [],
    handlers: [HANDLER],
    replicas: undefined,
  })
  return page(FRAME, { section: 'overview', title: 'Overview', content }).toString()
}

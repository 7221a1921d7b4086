import { createMetrics } from '../../src/app/metrics.ts'
import { createLog } from '../../src/log/log.ts'

/** Has a log and metrics as the service does, logs a line, and prints how often its event loop then turned in a second. */
const { log } = createLog('info')
createMetrics({
  sources: () => new Set(),
  handlers: () => [],
  counts: () => Promise.reject(new Error()),
  droppedLogLines: () => 0,
})

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const turns = (): number => performance.nodeTiming.uvMetricsInfo.loopCount

log.info('a line')
await wait(500)
const before = turns()
await wait(1_000)
process.stdout.write(`${JSON.stringify({ turns: turns() - before })}\n`)

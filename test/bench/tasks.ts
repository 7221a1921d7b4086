import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { cpuSeconds, freePorts, startServer } from './process.ts'

/**
 * What waiting costs: many pending tasks of which few are stale, and many connections that wait for tasks to end. Each
 * figure stands beside what the same service costs in the same time while it has nothing to do. `npm run bench:tasks`.
 */
const PENDING = 10_000
const STALE = 100
const WAITERS = 1_000
const WATCHED_TASKS = 100
/** Tasks tracked at once. */
const AT_ONCE = 50
/** Time given for tracking them all, after which the stale ones are stale. */
const STALE_AFTER_MS = 60_000
const WINDOW_MS = 10_000

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
const provider = await startFakeProvider()
const ports = await freePorts()
const server = await startServer(
  [join(import.meta.dirname, '../../src/main.ts'), 'serve'],
  {
    OPS_PORT: String(ports.ops),
    SOURCES: 'ai',
    SOURCE_AI_SECRET: AI_SECRET,
    SOURCE_AI_API_URL: provider.url,
    DATABASE_URL: `file:${join(directory, 'bench.db')}`,
    HANDLERS_DIR: join(import.meta.dirname, 'handlers'),
    POLL_INTERVAL_MS: '1000',
    LOG_LEVEL: 'warn',
  },
  ports,
)

async function track(taskId: string, maxWaitMs: number): Promise<void> {
  const answer = await fetch(`${server.opsUrl}/v1/tasks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source: 'ai', task_id: taskId, max_wait_ms: maxWaitMs }),
  })
  if (answer.status !== 201) throw new Error(`tracking answered ${answer.status}: ${await answer.text()}`)
  await answer.arrayBuffer()
}

/** CPU seconds of the service over so long. */
async function cpuDuring(work: () => Promise<unknown>): Promise<number> {
  const before = cpuSeconds(server)
  await work()
  return cpuSeconds(server) - before
}

async function trackAll(ids: readonly string[], maxWaitMs: () => number): Promise<void> {
  const left = [...ids]
  const one = async (): Promise<void> => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await track(id, maxWaitMs())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })

async function waitFor(taskId: string): Promise<number> {
  const request = get(`${server.opsUrl}/v1/tasks/ai/${taskId}?wait=120`, { agent })
  const [answer] = await once(request, 'response')
  await text(answer)
  return performance.now()
}

const seconds = (value: number): string => `${value.toFixed(2)} s`

try {
  const staleAtMs = Date.now() + STALE_AFTER_MS
  const stale = Array.from({ length: STALE }, () => provider.create())
  for (const id of stale) provider.finish(id, 'completed')
  await trackAll(stale, () => staleAtMs - Date.now())
  await trackAll(
    Array.from({ length: PENDING - STALE }, (_, at) => `fresh_${at}`),
    () => 3_600_000,
  )
  const idle = await cpuDuring(() => sleep(WINDOW_MS))
  await sleep(Math.max(0, staleAtMs - Date.now() - 1_000))
  const polling = await cpuDuring(() => sleep(WINDOW_MS))
  console.log(`${PENDING} pending tasks, ${STALE} of them stale: asked for ${provider.seen.requests.length}`)
  console.log(`  CPU in ${WINDOW_MS / 1_000} s with the pass ${seconds(polling)}, without ${seconds(idle)}`)

  const watched = Array.from({ length: WATCHED_TASKS }, (_, at) => `watched_${at}`)
  await trackAll(watched, () => 3_600_000)
  const waiting = Array.from({ length: WAITERS }, (_, at) => waitFor(watched[at % WATCHED_TASKS] ?? ''))
  await sleep(2_000)
  const held = await cpuDuring(() => sleep(WINDOW_MS))
  const startedAt = performance.now()
  const answering = cpuDuring(async () => {
    for (const id of watched)
      await post(server.publicUrl, signedEvent('task.completed', { task_id: id, status: 'completed' }))
    await Promise.all(waiting)
  })
  const last = Math.max(...(await Promise.all(waiting))) - startedAt
  console.log(`${WAITERS} connections wait for ${WATCHED_TASKS} tasks`)
  console.log(`  CPU in ${WINDOW_MS / 1_000} s of waiting ${seconds(held)}, with nobody there ${seconds(idle)}`)
  console.log(
    `  all answered ${Math.round(last)} ms after the first webhook was sent, at ${seconds(await answering)} of CPU`,
  )
} finally {
  agent.destroy()
  await server.stop()
  await provider.close()
  rmSync(directory, { recursive: true, force: true })
}

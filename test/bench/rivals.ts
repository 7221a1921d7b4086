import { Queue, Worker } from 'bullmq'
import { Logger, run } from 'graphile-worker'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { PgBoss } from 'pg-boss'

/**
 * Job queues that others use, with jobs of 1 kB and a function that does nothing. One runs in a process of its own:
 * `node rivals.ts <name> <url> <count>` fills the queue, works it off, and prints a `Drained` as JSON. None of them keeps a function
 * from harming the process that it runs in.
 */

/** How fast a queue was worked off, and the CPU time of the process that did it. */
export interface Drained {
  readonly perSecond: number
  readonly cpuMicros: number
}

interface Rival {
  readonly server: 'postgres' | 'redis'
  /** Fills the queue. The result works it off, and calls `onJob` at each job. It resolves with what stops the work. */
  fill(url: string, count: number): Promise<(onJob: () => void) => Promise<() => Promise<unknown>>>
}

const BODY = 'x'.repeat(1_000)
const CONCURRENCY = 32
/** Jobs that are added, or fetched, at once. */
const BATCH = 500

const graphileWorker = (localQueueSize: number): Rival => ({
  server: 'postgres',
  async fill(connectionString, count) {
    const schema = `graphile_${localQueueSize}`
    const start = (onJob: () => void) =>
      run({
        connectionString,
        schema,
        concurrency: CONCURRENCY,
        pollInterval: 100,
        noHandleSignals: true,
        logger: new Logger(() => () => {}),
        taskList: { noop: onJob },
        maxPoolSize: CONCURRENCY + 1,
        preset: {
          worker: localQueueSize > 0 ? { localQueue: { size: localQueueSize }, completeJobBatchDelay: 0 } : {},
        },
      })
    // Makes its tables.
    await (await start(() => {})).stop()
    const client = new Client({ connectionString })
    await client.connect()
    const spec = `json_populate_record(NULL::${schema}.job_spec, json_build_object('identifier', 'noop', 'payload', json_build_object('n', n, 'body', $1::text)))`
    const add = `SELECT count(*) FROM ${schema}.add_jobs(ARRAY(SELECT ${spec} FROM generate_series(1, ${BATCH}) AS n))`
    for (let n = 0; n < count; n += BATCH) await client.query(add, [BODY])
    await client.end()
    return async (onJob) => {
      const runner = await start(onJob)
      return () => runner.stop()
    }
  },
})

const pgBoss: Rival = {
  server: 'postgres',
  async fill(connectionString, count) {
    const boss = new PgBoss({ connectionString, max: CONCURRENCY })
    boss.on('error', () => {})
    await boss.start()
    await boss.createQueue('noop')
    for (let n = 0; n < count; n += BATCH)
      await boss.insert(
        'noop',
        Array.from({ length: BATCH }, () => ({ data: { body: BODY } })),
      )
    return async (onJob) => {
      const options = { batchSize: BATCH, pollingIntervalSeconds: 0.5 }
      for (let worker = 0; worker < 4; worker++)
        await boss.work('noop', options, async (jobs) => {
          for (const _ of jobs) onJob()
        })
      return () => boss.stop({ graceful: false })
    }
  },
}

const bullmq: Rival = {
  server: 'redis',
  async fill(url, count) {
    const connection = () => new Redis(url, { maxRetriesPerRequest: null })
    const queue = new Queue('noop', { connection: connection() })
    const jobs = Array.from({ length: BATCH }, () => ({ name: 'noop', data: { body: BODY } }))
    for (let n = 0; n < count; n += BATCH) await queue.addBulk(jobs)
    return async (onJob) => {
      const worker = new Worker('noop', async () => onJob(), { connection: connection(), concurrency: CONCURRENCY })
      return async () => {
        await worker.close(true)
        await queue.close()
      }
    }
  },
}

export const RIVALS: Readonly<Record<string, Rival>> = {
  'graphile-worker': graphileWorker(0),
  'graphile-worker, local queue of 500': graphileWorker(500),
  'pg-boss, batches of 500': pgBoss,
  'BullMQ, Redis without fsync': bullmq,
}

/** As Holdfast is measured: from a tenth to the end. */
async function drain(rival: Rival, url: string, count: number): Promise<Drained> {
  const workOff = await rival.fill(url, count)
  const first = count / 10
  let done = 0
  let startedAt = 0
  let cpu = process.cpuUsage()
  const finished = Promise.withResolvers<Drained>()
  const stop = await workOff(() => {
    if (++done === first) {
      startedAt = performance.now()
      cpu = process.cpuUsage()
    }
    if (done !== count) return
    const { user, system } = process.cpuUsage(cpu)
    const seconds = (performance.now() - startedAt) / 1_000
    finished.resolve({ perSecond: (count - first) / seconds, cpuMicros: (user + system) / (count - first) })
  })
  const drained = await finished.promise
  await stop()
  return drained
}

if (import.meta.main) {
  const [name = '', url = '', count = '0'] = process.argv.slice(2)
  const rival = RIVALS[name]
  if (rival === undefined) throw new Error(`no rival ${name}: ${Object.keys(RIVALS).join('; ')}`)
  process.stdout.write(JSON.stringify(await drain(rival, url, Number(count))))
  process.exit()
}

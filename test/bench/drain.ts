import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cpuSecondsOfFamily } from '../support/family.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'
import { fillStore } from './fill.ts'
import { cpuSeconds, freePorts, OWN_ROOT, type Server, startHoldfast } from './process.ts'
import { type Drained, RIVALS } from './rivals.ts'

/**
 * The way out alone: how fast a service runs the deliveries that wait in its store, with a handler that does nothing, beside the job
 * queues of others. `npm run bench:drain`. `BENCH_EVENTS` and `BENCH_ROUNDS` make it shorter or longer, `BENCH_ONLY` takes the rows
 * whose name contains it, and `BENCH_ROOT` measures another checkout.
 */
const EVENTS = Number(process.env.BENCH_EVENTS ?? 200_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const ONLY = process.env.BENCH_ONLY ?? ''
const ROOT = process.env.BENCH_ROOT ?? OWN_ROOT
const HANDLER = 'bench:bench.handled'

interface Row extends Drained {
  /** Of PostgreSQL or Redis. */
  readonly serverMicros: number
}

async function processed({ opsUrl }: Server): Promise<number> {
  const answer = await fetch(`${opsUrl}/metrics`, { headers: { accept: 'application/json' } })
  return ((await answer.json()) as { events_processed: number }).events_processed
}

/** The rate between a tenth and the end, so that the start of the processes does not count. */
async function drainHoldfast(databaseUrl: string): Promise<Drained> {
  await fillStore(databaseUrl, EVENTS, [HANDLER])
  const server = await startHoldfast(databaseUrl, { root: ROOT })
  try {
    const first = await until(server, EVENTS / 10)
    const before = { atMs: performance.now(), cpu: cpuSeconds(server) }
    const count = (await until(server, EVENTS)) - first
    const seconds = (performance.now() - before.atMs) / 1_000
    return { perSecond: count / seconds, cpuMicros: ((cpuSeconds(server) - before.cpu) / count) * 1e6 }
  } finally {
    await server.stop()
  }
}

async function until(server: Server, target: number): Promise<number> {
  for (;;) {
    const count = await processed(server)
    if (count >= target) return count
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function drainRival(name: string, url: string): Promise<Drained> {
  const args = [join(import.meta.dirname, 'rivals.ts'), name, url, String(EVENTS)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Drained
}

interface RedisServer {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/** Undefined if Redis is not installed. */
async function startRedis(): Promise<RedisServer | undefined> {
  if (spawnSync('redis-server', ['--version']).error !== undefined) return undefined
  const { public: port } = await freePorts()
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    {
      stdio: 'ignore',
    },
  )
  const exited = once(child, 'exit')
  for (;;) {
    const socket = createConnection(port, '127.0.0.1')
    const isUp = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isUp) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
let made = 0

/** Starts a new server for each row, so that none finds what another one has left. */
async function onPostgres(drain: (url: URL) => Promise<Drained>): Promise<Row> {
  const settings = { shared_buffers: '512MB', max_wal_size: '4GB' }
  const postgres: PostgresServer = await startPostgres({ directory: tmpdir(), settings })
  try {
    const before = cpuSecondsOfFamily(postgres.pid())
    const drained = await drain(new URL(postgres.url))
    return { ...drained, serverMicros: ((cpuSecondsOfFamily(postgres.pid()) - before) / EVENTS) * 1e6 }
  } finally {
    await postgres.remove()
  }
}

const SUBJECTS: Record<string, () => Promise<Row | undefined>> = {
  'Holdfast, SQLite': async () => {
    const drained = await drainHoldfast(`file:${join(directory, `${++made}.db`)}`)
    return { ...drained, serverMicros: 0 }
  },
  'Holdfast, one worker on PostgreSQL': () => onPostgres((url) => drainHoldfast(url.href)),
}
for (const [name, { server }] of Object.entries(RIVALS))
  SUBJECTS[name] = async () => {
    if (server === 'postgres') return onPostgres((url) => drainRival(name, url.href))
    const redis = await startRedis()
    if (redis === undefined) return undefined
    try {
      const drained = await drainRival(name, redis.url)
      return { ...drained, serverMicros: (cpuSecondsOfFamily(redis.pid) / EVENTS) * 1e6 }
    } finally {
      await redis.stop()
    }
  }

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const rows = new Map<string, Row[]>()
try {
  for (let round = 1; round <= ROUNDS; round++)
    for (const [name, measure] of Object.entries(SUBJECTS)) {
      if (!name.includes(ONLY)) continue
      const row = await measure()
      if (row === undefined) continue
      rows.set(name, [...(rows.get(name) ?? []), row])
      process.stderr.write(`round ${round}: ${name}: ${row.perSecond.toFixed(0)}/s, ${row.cpuMicros.toFixed(0)} µs\n`)
    }
} finally {
  rmSync(directory, { recursive: true, force: true })
}
console.log(
  `\n${cpus().length} cores, ${cpus()[0]?.model}; Node ${process.version}; ${EVENTS} deliveries of 1 kB, everything on this machine, median of ${ROUNDS}\n`,
)
console.log(
  '| | handled/s | CPU µs each, the process and its children | CPU µs each, database server, filling included |\n|---|--:|--:|--:|',
)
for (const [name, each] of rows) {
  const of = (field: keyof Row): string => median(each.map((row) => row[field])).toFixed(0)
  const server = of('serverMicros')
  console.log(`| ${name} | ${of('perSecond')} | ${of('cpuMicros')} | ${server === '0' ? '–' : server} |`)
}

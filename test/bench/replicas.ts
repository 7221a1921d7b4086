import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuSecondsOfFamily } from '../support/family.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'
import { load, signedRequests } from './load.ts'
import { cpuSeconds, type Server, startHoldfast } from './process.ts'

/**
 * One machine, one PostgreSQL on a real disk, and 1, 2 and 4 replicas before it, beside the embedded store: what an
 * acknowledgement costs there. `BENCH_EVENTS` and `BENCH_ROUNDS` make it shorter or longer.
 */
const CONNECTIONS = 64
const EVENTS = Number(process.env.BENCH_EVENTS ?? 10_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))

interface Subject {
  readonly name: string
  readonly replicas: readonly Server[]
  /** Undefined: the embedded store. */
  readonly schema: string | undefined
}

interface Measured {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly replicaMicros: number
  readonly postgresMicros: number
  readonly batch: number
  readonly handledPerSecond: number
}

async function startSubject(postgres: PostgresServer, count: number): Promise<Subject> {
  const schema = `bench_${count}`
  const url = new URL(postgres.url)
  url.searchParams.set('schema', schema)
  const replicas = await Promise.all(Array.from({ length: count }, () => startHoldfast(url.href)))
  return { name: `PostgreSQL, ${count} replica${count === 1 ? '' : 's'}`, replicas, schema }
}

async function processed({ replicas }: Subject): Promise<number> {
  const each = await Promise.all(
    replicas.map(async ({ opsUrl }) => {
      const answer = await fetch(`${opsUrl}/metrics`, { headers: { accept: 'application/json' } })
      return ((await answer.json()) as { events_processed: number }).events_processed
    }),
  )
  return each.reduce((sum, count) => sum + count, 0)
}

/** A batch is one transaction, whose number each of its rows bears. */
async function eventsInABatch(postgres: PostgresServer, schema: string, rows: number): Promise<number> {
  const [row] = await postgres.query<{ batches: number }>(
    `SELECT count(DISTINCT xmin::text)::integer AS batches
     FROM (SELECT xmin FROM ${schema}.event ORDER BY key DESC LIMIT ${rows}) AS latest`,
  )
  return rows / (row?.batches ?? Number.NaN)
}

async function measure(postgres: PostgresServer, subject: Subject): Promise<Measured> {
  const { replicas } = subject
  const urls = replicas.map(({ publicUrl }) => publicUrl)
  const stored = signedRequests(EVENTS, 'bench.stored')
  const cpuOfReplicas = () => replicas.map(cpuSeconds).reduce((sum, seconds) => sum + seconds, 0)
  const before = { replicas: cpuOfReplicas(), postgres: cpuSecondsOfFamily(postgres.pid()) }
  const { seconds, p50Ms, p99Ms } = await load(urls, stored, CONNECTIONS)
  const spent = { replicas: cpuOfReplicas(), postgres: cpuSecondsOfFamily(postgres.pid()) }
  const batch = subject.schema === undefined ? Number.NaN : await eventsInABatch(postgres, subject.schema, EVENTS)

  const handled = signedRequests(EVENTS, 'bench.handled')
  const target = (await processed(subject)) + EVENTS
  const startedAt = performance.now()
  await load(urls, handled, CONNECTIONS)
  while ((await processed(subject)) < target) await new Promise((resolve) => setTimeout(resolve, 50))
  const handledSeconds = (performance.now() - startedAt) / 1_000
  return {
    perSecond: EVENTS / seconds,
    p50Ms,
    p99Ms,
    replicaMicros: ((spent.replicas - before.replicas) / EVENTS) * 1e6,
    postgresMicros: ((spent.postgres - before.postgres) / EVENTS) * 1e6,
    batch,
    handledPerSecond: EVENTS / handledSeconds,
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const postgres = await startPostgres({
  directory: tmpdir(),
  settings: { shared_buffers: '512MB', max_wal_size: '4GB' },
})
const rows = new Map<string, Measured[]>()
try {
  const embedded: Subject = {
    name: 'embedded store, 1 process',
    replicas: [await startHoldfast(`file:${join(directory, 'embedded.db')}`)],
    schema: undefined,
  }
  await inTurns([embedded])
  await stop(embedded)
  // Those that do not serve would look for work and take a part of it: one fleet at a time.
  for (const count of [1, 2, 4]) {
    const subject = await startSubject(postgres, count)
    await inTurns([subject])
    await stop(subject)
  }
  print()
} finally {
  await postgres.remove()
  rmSync(directory, { recursive: true, force: true })
}

async function inTurns(subjects: readonly Subject[]): Promise<void> {
  for (const subject of subjects) await measure(postgres, subject)
  for (let round = 1; round <= ROUNDS; round++) {
    for (const subject of subjects) {
      const measured = await measure(postgres, subject)
      rows.set(subject.name, [...(rows.get(subject.name) ?? []), measured])
      process.stderr.write(
        `round ${round}: ${subject.name}: ${measured.perSecond.toFixed(0)} acknowledged/s, ${measured.handledPerSecond.toFixed(0)} handled/s\n`,
      )
    }
  }
}

async function stop({ replicas }: Subject): Promise<void> {
  await Promise.all(replicas.map((replica) => replica.stop()))
}

function print(): void {
  console.log(
    `\n${cpus().length} cores, ${cpus()[0]?.model}; everything on this one machine: load, replicas, PostgreSQL 18; ${CONNECTIONS} connections in all, 1 kB bodies, ${EVENTS} events a run, median of ${ROUNDS}\n`,
  )
  console.log(
    '| | acknowledged/s | p50 ms | p99 ms | handled/s | CPU µs/event, replicas | CPU µs/event, PostgreSQL | events in a batch |\n|---|--:|--:|--:|--:|--:|--:|--:|',
  )
  for (const [name, measured] of rows) {
    const of = (field: keyof Measured, digits = 0): string =>
      median(measured.map((each) => each[field])).toFixed(digits)
    const batch = median(measured.map((each) => each.batch))
    console.log(
      `| ${name} | ${of('perSecond')} | ${of('p50Ms', 1)} | ${of('p99Ms', 1)} | ${of('handledPerSecond')} | ${of('replicaMicros')} | ${Number.isNaN(batch) ? '–' : of('postgresMicros')} | ${Number.isNaN(batch) ? '–' : of('batch', 1)} |`,
    )
  }
}

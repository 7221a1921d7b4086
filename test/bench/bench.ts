import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { AI_SECRET } from '../support/ai-source.ts'
import { fillStore } from './fill.ts'
import { type LoadResult, load, signedRequests } from './load.ts'
import { cpuSeconds, freePorts, peakRssMiB, type Server, startHoldfast, startServer } from './process.ts'

/**
 * What durability costs: Holdfast beside a bare Fastify route, in turns on one machine, with an empty store and with many
 * events in it. `npm run bench`; `BENCH_EVENTS`, `BENCH_ROUNDS` and `BENCH_STORED` make it shorter or longer.
 */
const CONNECTIONS = 64
const EVENTS = Number(process.env.BENCH_EVENTS ?? 20_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 9)
const STORED = Number(process.env.BENCH_STORED ?? 1_000_000)

interface Row extends LoadResult {
  readonly name: string
  /** Of the yardstick's speed in the same round: a machine that is shared changes its own from one minute to the next. */
  readonly part: number
  readonly perSecond: number
  readonly cpuMicros: number
  readonly rssMiB: number
}

async function measure(name: string, server: Server, type: string): Promise<Omit<Row, 'part'>> {
  const requests = signedRequests(EVENTS, type)
  const cpuBefore = cpuSeconds(server)
  const result = await load(server.publicUrl, requests, CONNECTIONS)
  const cpuMicros = ((cpuSeconds(server) - cpuBefore) / EVENTS) * 1e6
  return { name, ...result, perSecond: EVENTS / result.seconds, cpuMicros, rssMiB: peakRssMiB(server) }
}

async function processed(server: Server): Promise<number> {
  const answer = await fetch(`${server.opsUrl}/metrics`, { headers: { accept: 'application/json' } })
  const { events_processed } = (await answer.json()) as { events_processed: number }
  return events_processed
}

/** From the first request to the last handler's end. */
async function handledPerSecond(server: Server): Promise<number> {
  const requests = signedRequests(EVENTS, 'bench.handled')
  const target = (await processed(server)) + EVENTS
  const startedAt = performance.now()
  await load(server.publicUrl, requests, CONNECTIONS)
  while ((await processed(server)) < target) await new Promise((resolve) => setTimeout(resolve, 50))
  return EVENTS / ((performance.now() - startedAt) / 1000)
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

function summarise(rows: readonly Row[]): Row {
  const of = (field: Exclude<keyof Row, 'name'>): number => median(rows.map((row) => row[field]))
  return {
    name: rows[0]?.name ?? '',
    part: of('part'),
    sent: of('sent'),
    seconds: of('seconds'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    maxMs: Math.max(...rows.map(({ maxMs }) => maxMs)),
    perSecond: of('perSecond'),
    cpuMicros: of('cpuMicros'),
    rssMiB: Math.max(...rows.map(({ rssMiB }) => rssMiB)),
  }
}

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))

const rows = new Map<string, Row[]>()
const handled = new Map<string, number[]>()

try {
  const yardstick = await startServer(
    [join(import.meta.dirname, 'yardstick.ts')],
    { SOURCE_AI_SECRET: AI_SECRET },
    await freePorts(),
  )
  const empty = await startHoldfast(`file:${join(directory, 'empty.db')}`)
  process.stderr.write(`storing ${STORED} events first…\n`)
  await fillStore(`file:${join(directory, 'full.db')}`, STORED)
  const full = await startHoldfast(`file:${join(directory, 'full.db')}`)
  const subjects: [string, Server, string][] = [
    ['yardstick: bare Fastify, verifies and parses, stores nothing', yardstick, 'bench.stored'],
    ['acknowledged', empty, 'bench.stored'],
    ['acknowledged, handlers running', empty, 'bench.handled'],
    [`acknowledged, ${STORED} events stored`, full, 'bench.stored'],
    [`acknowledged, handlers running, ${STORED} events stored`, full, 'bench.handled'],
  ]
  for (const [name, server, type] of subjects) await measure(name, server, type)
  let yardstickPerSecond = 0
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, server, type] of subjects) {
      const measured = await measure(name, server, type)
      if (server === yardstick) yardstickPerSecond = measured.perSecond
      rows.set(name, [...(rows.get(name) ?? []), { ...measured, part: measured.perSecond / yardstickPerSecond }])
      process.stderr.write(`round ${round + 1}: ${name}: ${measured.perSecond.toFixed(0)}/s\n`)
      if (server !== yardstick) await settled(server)
    }
    for (const [name, server] of [
      ['empty', empty],
      ['full', full],
    ] as const) {
      handled.set(name, [...(handled.get(name) ?? []), await handledPerSecond(server)])
    }
  }
  print()
  await Promise.all([yardstick, empty, full].map((server) => server.stop()))
} finally {
  rmSync(directory, { recursive: true })
}

/** Waits until what an earlier run left to its handlers is done, so that it does not weigh on the next. */
async function settled(server: Server): Promise<void> {
  for (;;) {
    const answer = await fetch(`${server.opsUrl}/v1/deliveries?state=pending&limit=1`)
    const { items } = (await answer.json()) as { items: unknown[] }
    if (items.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function print(): void {
  const summaries = [...rows.values()].map(summarise)
  const [cpu] = cpus()
  console.log(
    `\n${cpus().length} cores, ${cpu?.model}; Node ${process.version}; ${CONNECTIONS} connections, 1 kB unique signed bodies, ${EVENTS} events a run, median of ${ROUNDS}\n`,
  )
  console.log(
    '| | events/s | of yardstick | CPU µs/event | p50 ms | p99 ms | peak RSS MiB |\n|---|--:|--:|--:|--:|--:|--:|',
  )
  for (const row of summaries) {
    console.log(
      `| ${row.name} | ${row.perSecond.toFixed(0)} | ${row.part.toFixed(2)} | ${row.cpuMicros.toFixed(0)} | ${row.p50Ms.toFixed(1)} | ${row.p99Ms.toFixed(1)} | ${row.rssMiB.toFixed(0)} |`,
    )
  }
  const [empty, full] = [rows.get('acknowledged') ?? [], rows.get(`acknowledged, ${STORED} events stored`) ?? []]
  const beside = median(full.map(({ perSecond }, round) => perSecond / (empty[round]?.perSecond ?? Number.NaN)))
  console.log(`\nacknowledged with ${STORED} events stored, beside an empty store: ${beside.toFixed(2)}`)
  for (const [name, rates] of handled)
    console.log(
      `handled end to end, ${name === 'empty' ? 'empty store' : `${STORED} events stored`}: ${median(rates).toFixed(0)} events/s`,
    )
}

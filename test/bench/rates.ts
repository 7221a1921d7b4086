import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Memory, memoryOfFamily } from '../support/family.ts'
import { cpuSeconds, OWN_ROOT } from './process.ts'
import { type Measured, measure, median, type Pace, type Subject, startSubject } from './rates/measure.ts'

/**
 * What an event costs at rates that services have, from acknowledgement to the end of a handler that does nothing, and what
 * waiting costs. `npm run bench:rates`. `BENCH_ROOT` is the checkout whose service is measured; with `BENCH_ROOT_BEFORE`
 * another one is measured in turns with it. `BENCH_ROUNDS` makes it shorter or longer.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const ROOTS = { before: process.env.BENCH_ROOT_BEFORE, now: process.env.BENCH_ROOT ?? OWN_ROOT }

const PACES: readonly Pace[] = [
  { name: '20/s', events: 240, perSecond: 20 },
  { name: '200/s', events: 1_600, perSecond: 200 },
  { name: '1,000/s', events: 6_000, perSecond: 1_000 },
  { name: 'saturation', events: 20_000 },
]
const WARM_UP: Pace = { name: 'warm-up', events: 5_000 }
const IDLE_MS = 20_000
/** What is written behind a warm-up takes some seconds, and one of the services was warmed last. */
const SETTLE_MS = 20_000
/** Between one run and the next, for what is written behind. */
const PAUSE_MS = 500

/** Percent of one core that each service takes while nothing happens, all in the same time. */
async function measureIdle(subjects: readonly Subject[]): Promise<number[]> {
  const before = subjects.map(({ server }) => cpuSeconds(server))
  await sleep(IDLE_MS)
  return subjects.map(({ server }, at) => ((cpuSeconds(server) - (before[at] ?? 0)) * 1_000 * 100) / IDLE_MS)
}

const memoryOf = ({ server }: Subject): Memory => memoryOfFamily(server.child.pid ?? 0)

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
const subjects: Subject[] = []
try {
  for (const [name, root] of Object.entries(ROOTS))
    if (root !== undefined) subjects.push(await startSubject(name, directory, { root }))
  await sleep(PAUSE_MS)
  const fresh = subjects.map(memoryOf)
  for (const subject of subjects) await measure(subject, WARM_UP)
  process.stderr.write(`idle for ${IDLE_MS / 1_000} s…\n`)
  await sleep(SETTLE_MS)
  const idle = await measureIdle(subjects)
  await inTurns()
  print(fresh, idle, subjects.map(memoryOf))
} finally {
  await Promise.all(subjects.map(({ server }) => server.stop()))
  rmSync(directory, { recursive: true, force: true })
}

async function inTurns(): Promise<void> {
  for (let round = 1; round <= ROUNDS; round++) {
    for (const pace of PACES) {
      for (const subject of round % 2 === 0 ? subjects.toReversed() : subjects) {
        const measured = await measure(subject, pace)
        subject.results.set(pace.name, [...(subject.results.get(pace.name) ?? []), measured])
        process.stderr.write(
          `round ${round}: ${pace.name}, ${subject.name}: ${measured.cpuMs.toFixed(3)} ms CPU an event\n`,
        )
        await sleep(PAUSE_MS)
      }
    }
  }
}

function print(fresh: readonly Memory[], idle: readonly number[], after: readonly Memory[]): void {
  console.log(
    `\n${cpus().length} cores, ${cpus()[0]?.model}; Node ${process.version}; sender and service on this machine; 1 kB unique signed bodies, median of ${ROUNDS}; CPU of all processes of the service, idle included\n`,
  )
  console.log(
    '| | | acknowledged/s | ack p50 ms | ack p99 ms | acknowledged to started p50 ms | p99 ms | handled/s | CPU ms/event |\n|---|---|--:|--:|--:|--:|--:|--:|--:|',
  )
  for (const { name: pace } of PACES) {
    for (const { name, results } of subjects) {
      const of = (field: keyof Measured, digits = 0): string =>
        median((results.get(pace) ?? []).map((each) => each[field])).toFixed(digits)
      console.log(
        `| ${pace} | ${name} | ${of('acknowledgedPerSecond')} | ${of('ackP50Ms', 2)} | ${of('ackP99Ms', 2)} | ${of('startP50Ms', 2)} | ${of('startP99Ms', 2)} | ${of('handledPerSecond')} | ${of('cpuMs', 3)} |`,
      )
    }
  }
  const mib = ({ rssMiB, pssMiB } = { rssMiB: Number.NaN, pssMiB: Number.NaN }): string =>
    `${rssMiB.toFixed(0)} (${pssMiB.toFixed(0)} proportional)`
  for (const [at, { name }] of subjects.entries()) {
    console.log(
      `| idle | ${name} | ${idle[at]?.toFixed(2)} % of a core; resident MiB: ${mib(fresh[at])} fresh, ${mib(after[at])} after all this | | | | | | |`,
    )
  }
}

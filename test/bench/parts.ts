import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OPTIONAL_PARTS, type OptionalPart } from '../../src/app/tuning.ts'
import { type Measured, measure, median, type Pace, type Subject, startSubject } from './rates/measure.ts'

/**
 * What each part of the service that is not needed to store and handle events (`OPTIONAL_PARTS`) costs an event: the whole service,
 * and the service without that part, in turns on one machine. `npm run bench:parts`; `BENCH_ROUNDS` makes it shorter or longer.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 9)
const PACES: readonly Pace[] = [
  { name: '20/s', events: 160, perSecond: 20 },
  { name: '200/s', events: 1_000, perSecond: 200 },
  { name: 'saturation', events: 10_000 },
]
const WARM_UP: Pace = { name: 'warm-up', events: 10_000 }
/** Between one run and the next, for what is written behind. */
const PAUSE_MS = 300

const WHOLE = 'whole'
const WITHOUT: Readonly<Record<string, readonly OptionalPart[]>> = {
  [WHOLE]: [],
  ...Object.fromEntries(OPTIONAL_PARTS.map((part) => [`without ${part}`, [part]])),
  ...(OPTIONAL_PARTS.length > 1 && { 'without all of them': OPTIONAL_PARTS }),
}

/** What the whole service has, of what it has without a part in the same round. */
type Ratios = Readonly<Record<'cpuMs' | 'acknowledgedPerSecond' | 'ackP50Ms' | 'ackP99Ms' | 'handledPerSecond', number>>

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
const subjects: Subject[] = []
try {
  for (const [name, parts] of Object.entries(WITHOUT)) {
    const program = [join(import.meta.dirname, 'parts/serve.ts'), ...parts]
    subjects.push(await startSubject(name, directory, { program }))
  }
  for (const subject of subjects) await measure(subject, WARM_UP)
  for (let round = 1; round <= ROUNDS; round++) await measureRound(round)
  print()
} finally {
  await Promise.all(subjects.map(({ server }) => server.stop()))
  rmSync(directory, { recursive: true, force: true })
}

async function measureRound(round: number): Promise<void> {
  for (const pace of PACES) {
    for (const subject of round % 2 === 0 ? subjects.toReversed() : subjects) {
      const measured = await measure(subject, pace)
      subject.results.set(pace.name, [...(subject.results.get(pace.name) ?? []), measured])
      await sleep(PAUSE_MS)
    }
  }
  process.stderr.write(`round ${round} of ${ROUNDS}\n`)
}

function print(): void {
  console.log(
    `\n${cpus().length} cores, ${cpus()[0]?.model}; Node ${process.version}; 1 kB unique signed bodies, a handler that does nothing; the whole service, of what it has without the part; median of ${ROUNDS}\n`,
  )
  console.log(
    '| part | rate | CPU time per event | acknowledged/s | ack p50 | ack p99 | handled/s | CPU ms/event, whole |\n|---|---|--:|--:|--:|--:|--:|--:|',
  )
  const [whole, ...others] = subjects
  for (const other of others) {
    for (const { name: pace } of PACES) {
      const results = whole?.results.get(pace) ?? []
      const of = (field: keyof Ratios): string =>
        median(ratiosOf(results, other.results.get(pace) ?? []).map((each) => each[field])).toFixed(3)
      const cpuMs = median(results.map((each) => each.cpuMs)).toFixed(3)
      console.log(
        `| ${other.name.replace('without ', '')} | ${pace} | ${of('cpuMs')} | ${of('acknowledgedPerSecond')} | ${of('ackP50Ms')} | ${of('ackP99Ms')} | ${of('handledPerSecond')} | ${cpuMs} |`,
      )
    }
  }
}

function ratiosOf(whole: readonly Measured[], without: readonly Measured[]): readonly Ratios[] {
  return whole.map((each, round) => {
    const other = without[round]
    const ratio = (field: keyof Ratios): number => each[field] / (other?.[field] ?? Number.NaN)
    return {
      cpuMs: ratio('cpuMs'),
      acknowledgedPerSecond: ratio('acknowledgedPerSecond'),
      ackP50Ms: ratio('ackP50Ms'),
      ackP99Ms: ratio('ackP99Ms'),
      handledPerSecond: ratio('handledPerSecond'),
    }
  })
}

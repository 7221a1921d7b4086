import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { newEvent } from '../contract/store-samples.ts'
import { cpuSecondsOfFamily } from '../support/family.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { median } from './rates/measure.ts'

/**
 * A storm of duplicates straight into the store, no HTTP: events per second and CPU time of each (PostgreSQL's too), and what they are of those
 * in another clone, whose folder `BENCH_BASE` names. Both run in one process, in turns. With PostgreSQL two replicas get the same events at once.
 * `node test/bench/duplicates.ts`; `BENCH_ROUNDS` makes it shorter or longer, `BENCH_STORES=sqlite` leaves PostgreSQL out.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 9)
const STORES = (process.env.BENCH_STORES ?? 'sqlite,postgres').split(',')
const BASE = process.env.BENCH_BASE
const EVENTS = 10_000
const IN_FLIGHT = 64
const BODY_BYTES = 1_024
/** How many events the duplicates are of; 0: they are new events. */
const STORMS = { 'new events': 0, 'duplicates of one event': 1, 'duplicates of 1,000 events': 1_000 }

type Open = (url: string) => Promise<OpenStore>
const openIn = async (clone: string): Promise<Open> =>
  ((await import(pathToFileURL(join(resolve(clone), 'src/storage/open.ts')).href)) as { openStore: Open }).openStore

const event = (): NewEvent =>
  newEvent({
    receivedAtMs: Date.now(),
    receivedFrom: '192.0.2.7',
    body: Buffer.alloc(BODY_BYTES, randomBytes(16).toString('hex')),
    handlers: [],
  })

/** CPU time so far, in seconds. */
type Cpu = () => number
const ownCpu: Cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

interface Subject {
  readonly name: string
  readonly replicas: readonly OpenStore[]
  readonly rates: Map<string, number[]>
  readonly cpuMicros: Map<string, number[]>
}

async function storm({ replicas, rates, cpuMicros }: Subject, name: string, of: number, cpu: Cpu): Promise<void> {
  const known = Array.from({ length: of }, event)
  for (const each of known) await replicas[0]?.append(each)
  const [startedAt, cpuBefore] = [performance.now(), cpu()]
  let sent = 0
  const send = async (store: OpenStore): Promise<void> => {
    for (let n = sent++; n < EVENTS; n = sent++) {
      const again = known[n % of]
      await store.append(again === undefined ? event() : { ...again, uid: newUid(), receivedAtMs: Date.now() })
    }
  }
  await Promise.all(replicas.flatMap((store) => Array.from({ length: IN_FLIGHT }, () => send(store))))
  rates.set(name, [...(rates.get(name) ?? []), EVENTS / ((performance.now() - startedAt) / 1_000)])
  cpuMicros.set(name, [...(cpuMicros.get(name) ?? []), ((cpu() - cpuBefore) / EVENTS) * 1e6])
}

async function measure(kind: string, urlOf: (clone: string) => string, replicas: number, cpu: Cpu): Promise<void> {
  const subjects: Subject[] = []
  try {
    for (const [name, clone] of [['here', '.'] as const, ...(BASE === undefined ? [] : [['base', BASE] as const])]) {
      const open = await openIn(clone)
      const stores = []
      for (let n = 0; n < replicas; n++) stores.push(await open(urlOf(name)))
      subjects.push({ name, replicas: stores, rates: new Map(), cpuMicros: new Map() })
    }
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, of] of Object.entries(STORMS))
        for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) await storm(subject, name, of, cpu)
    for (const name of Object.keys(STORMS)) print(kind, name, subjects)
  } finally {
    for (const { replicas: stores } of subjects) await Promise.all(stores.map((store) => store.close()))
  }
}

function print(kind: string, name: string, [here, base]: readonly Subject[]): void {
  const told = (of: 'rates' | 'cpuMicros', unit: string): string => {
    const [ours, others] = [here?.[of].get(name) ?? [], base?.[of].get(name) ?? []]
    const ratios = others.map((other, at) => (ours[at] ?? 0) / other)
    const beside =
      ratios.length === 0 ? '' : `, ${median(ratios).toFixed(2)} of the ${Math.round(median(others))} of the base`
    return `${Math.round(median(ours))} ${unit}${beside}`
  }
  console.log(`${kind}: ${name}: ${told('rates', 'a second')}; ${told('cpuMicros', 'µs of CPU time')}`)
}

if (STORES.includes('sqlite')) {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  await measure('SQLite', (name) => `file:${join(directory, `${name}.db`)}`, 1, ownCpu)
  rmSync(directory, { recursive: true, force: true })
}
if (STORES.includes('postgres')) {
  const postgres = await startPostgres({ directory: tmpdir(), settings: { max_wal_size: '4GB' } })
  try {
    for (const replicas of [1, 2]) {
      const urlOf = (name: string) => {
        const url = new URL(postgres.url)
        url.searchParams.set('schema', `${name}_${replicas}`)
        return url.href
      }
      await measure(
        `PostgreSQL, ${replicas} replica${replicas > 1 ? 's' : ''}`,
        urlOf,
        replicas,
        () => ownCpu() + cpuSecondsOfFamily(postgres.pid()),
      )
    }
  } finally {
    await postgres.remove()
  }
}

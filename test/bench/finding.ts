import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import { parseMatch } from '../../src/domain/payload-match.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { EventMix, MIX_KEYS } from './event-mix.ts'

/**
 * How long the searches of an operator take among many events, alone and while events are stored at full speed, and what the searches cost
 * those; in both stores, straight through the store. `BENCH_EVENTS`, `BENCH_ROUNDS`, `BENCH_SECONDS` of each
 * turn, and `BENCH_STORES=sqlite,postgres` make it shorter.
 */
const EVENTS = Number(process.env.BENCH_EVENTS ?? 1_000_000)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 5)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 4)
const STORES = (process.env.BENCH_STORES ?? 'sqlite,postgres').split(',')
/** Between two searches: more than ten a second. */
const SEARCH_PAUSE_MS = 80
const APPENDERS = 64

/** Milliseconds that calls have taken. */
class Times {
  readonly #ms: number[] = []

  async of<Result>(call: Promise<Result>): Promise<Result> {
    const startedMs = performance.now()
    const result = await call
    this.#ms.push(performance.now() - startedMs)
    return result
  }

  get count(): number {
    return this.#ms.length
  }

  /** Half, 99 % and all of the calls took no longer than these. */
  shown(): string {
    const sorted = this.#ms.toSorted((a, b) => a - b)
    const at = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1)
    return `p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)} ms  (${sorted.length})`
  }
}

type Search = readonly [name: string, search: (store: OpenStore) => Promise<unknown>]

const listed = (filter: EventFilter) => (store: OpenStore) => store.events(filter, { limit: 50 })

async function searchesOf(store: OpenStore, { startMs }: EventMix): Promise<readonly Search[]> {
  const { items } = await store.events({ untilMs: startMs + EVENTS / 2 }, { limit: 1 })
  const uid = items[0]?.uid ?? ''
  const deep = await store.events({}, { limit: 1 })
  const cursor =
    deep.nextCursor === undefined
      ? {}
      : { cursor: Buffer.from(`events:${startMs + EVENTS / 10}:1`).toString('base64url') }
  const match = [parseMatch('data.object.customer:cus_77')]
  return [
    ['first page', listed({})],
    ['deep page', (each) => each.events({}, { limit: 50, ...cursor })],
    ['outcome=dead', listed({ outcome: 'dead' })],
    [
      'outcome=dead, one source, an hour',
      listed({
        outcome: 'dead',
        source: 'github',
        sinceMs: startMs + EVENTS / 2,
        untilMs: startMs + EVENTS / 2 + 3_600,
      }),
    ],
    ['match, indexed', listed({ source: 'stripe', match })],
    ['event detail', (each) => each.event(uid)],
  ]
}

/** Calls until the time is over. */
async function during(seconds: number, call: () => Promise<unknown>): Promise<void> {
  const endMs = performance.now() + seconds * 1_000
  while (performance.now() < endMs) await call()
}

async function ingest(store: OpenStore, mix: EventMix, times: Times): Promise<void> {
  await Promise.all(Array.from({ length: APPENDERS }, () => during(SECONDS, () => times.of(store.append(mix.next())))))
}

interface TimedSearch {
  readonly search: Search[1]
  readonly times: Times
}

async function searching(store: OpenStore, searches: readonly TimedSearch[]): Promise<void> {
  await during(SECONDS, async () => {
    for (const { search, times } of searches) {
      await times.of(search(store))
      await new Promise((resolve) => setTimeout(resolve, SEARCH_PAUSE_MS))
    }
  })
}

async function scan(store: OpenStore, mix: EventMix): Promise<void> {
  let cursor: string | undefined
  let pages = 0
  const startedMs = performance.now()
  do {
    const page = await store.events({ contains: 'is nowhere' }, { limit: 1, ...(cursor !== undefined && { cursor }) })
    cursor = page.nextCursor
    pages++
  } while (cursor !== undefined)
  const seconds = (performance.now() - startedMs) / 1_000
  const megabytes = (mix.made * mix.next().body.length) / 1e6
  console.log(
    `  contains: ${(megabytes / seconds).toFixed(0)} MB/s of bodies, ${pages} pages in ${seconds.toFixed(1)} s`,
  )
}

async function measure(name: string, databaseUrl: string): Promise<void> {
  const mix = new EventMix()
  const store = await openStore(databaseUrl, {})
  try {
    await store.payloadIndex.keepPaths(
      ['stripe', 'github'].flatMap((source) => MIX_KEYS.map((path) => ({ source, path }))),
    )
    const startedMs = performance.now()
    await mix.fill(store, EVENTS)
    const seconds = (performance.now() - startedMs) / 1_000
    while (await store.payloadIndex.indexStep()) console.log('  indexing')
    console.log(`${name}: ${mix.made} events, stored in ${seconds.toFixed(0)} s`)
    const searches = await searchesOf(store, mix)

    const alone = new Times()
    const beside = new Times()
    const bySearch = searches.map(([title, search]) => ({ title, search, times: new Times() }))
    const search = () => searching(store, bySearch)
    for (let round = 1; round <= ROUNDS; round++) {
      // In turns, since a checkpoint of the database may fall into either.
      const turns = [() => ingest(store, mix, alone), () => Promise.all([ingest(store, mix, beside), search()])]
      for (const turn of round % 2 === 0 ? turns.toReversed() : turns) await turn()
    }
    const rate = ({ count }: Times): string => `${(count / SECONDS / ROUNDS).toFixed(0)}/s`
    console.log(`  ingest alone: ${rate(alone)}, ${alone.shown()}`)
    console.log(`  ingest beside searches: ${rate(beside)}, ${beside.shown()}`)
    for (const { title, times } of bySearch) console.log(`  ${title}, beside ingest: ${times.shown()}`)
    await scan(store, mix)
  } finally {
    await store.close()
  }
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`)
if (STORES.includes('sqlite')) {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-finding-'))
  await measure('SQLite', `file:${join(directory, 'bench.db')}`)
  rmSync(directory, { recursive: true })
}
if (STORES.includes('postgres')) {
  const server = await startPostgres({ directory: tmpdir(), settings: { max_wal_size: '4GB' } })
  try {
    await measure('PostgreSQL', server.url)
  } finally {
    await server.stop()
  }
}

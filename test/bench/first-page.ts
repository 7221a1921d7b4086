import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/storage/open.ts'
import { EventMix, MIX_KEYS } from './event-mix.ts'
import { load, signedRequests } from './load.ts'
import { cpuSeconds, OWN_ROOT, type Server, startHoldfast } from './process.ts'

/**
 * How long the first byte of a page of the console takes in a process that has just started, and what the console costs a process at its
 * start: `npm run bench:first-page [paths of other checkouts]`. Each page is the first one of a process of its own. The checkouts take
 * turns; `BENCH_ROUNDS` and `BENCH_EVENTS` make it shorter, and with `BENCH_IDLE_MS=0` the page is asked for at once.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const EVENTS = Number(process.env.BENCH_EVENTS ?? 20_000)
/** From the readiness of the process to its first page. */
const IDLE_MS = Number(process.env.BENCH_IDLE_MS ?? 1_500)
const TOKEN = 'token-of-the-benchmark-0001'

const roots = [...process.argv.slice(2), OWN_ROOT]
const directory = mkdtempSync(join(tmpdir(), 'holdfast-first-page-'))
const databaseUrl = `file:${join(directory, 'bench.db')}`
const environment = {
  OPS_TOKEN: TOKEN,
  SHUTDOWN_GRACE_MS: '2000',
  SOURCES: 'ai,stripe,github',
  SOURCE_STRIPE_SECRET: 'whsec_c2VjcmV0LW9mLXRoZS1iZW5jaG1hcmstMDAwMQ==',
  SOURCE_GITHUB_SECRET: 'secret-of-the-benchmark-0002',
}

/** What is measured, by what it is of: `<root> <what>`. */
const measured = new Map<string, number[]>()
const note = (root: string, what: string, value: number): void => {
  const key = `${root} ${what}`
  measured.set(key, [...(measured.get(key) ?? []), value])
}

try {
  const pages = await fill()
  console.log(`${cpus().length} cores, ${cpus()[0]?.model}; Node ${process.version}; ${EVENTS} events in the store`)
  // The first start of each fills the compile cache.
  for (const root of roots) await look(root, pages[0] ?? '', () => {})
  for (let round = 0; round < ROUNDS; round++) {
    for (const [nth, page] of pages.entries()) {
      const turn = (round + nth) % 2 === 0 ? roots : roots.toReversed()
      for (const root of turn) await look(root, page, note)
    }
  }
  report(pages)
} finally {
  rmSync(directory, { recursive: true, force: true })
}

/** Events in many states, with the numbers over time that the overview draws. Resolves with a page of each kind. */
async function fill(): Promise<readonly string[]> {
  const store = await openStore(databaseUrl, {})
  await store.payloadIndex.keepPaths(MIX_KEYS.map((path) => ({ source: 'stripe', path })))
  await new EventMix().fill(store, EVENTS)
  await store.close()
  const server = await startHoldfast(databaseUrl, { environment })
  try {
    await load(server.publicUrl, signedRequests(5_000, 'bench.handled'), 16)
    const answer = await fetch(`${server.opsUrl}/v1/events?limit=1`, { headers: { authorization: `Bearer ${TOKEN}` } })
    const { items } = (await answer.json()) as { items: { uid: string }[] }
    const sections = [
      '',
      '/events',
      '/dead',
      '/replays',
      '/tasks',
      '/sources',
      '/handlers',
      '/audit',
      '/config',
      '/sign-in',
    ]
    return [...sections, `/events/${items[0]?.uid}`, '/sources/stripe', '/handlers/bench:bench.handled'].map(
      (path) => `/console${path}`,
    )
  } finally {
    await server.stop()
  }
}

/** Starts a process, and looks at one page of it, three times. */
async function look(root: string, page: string, tell: typeof note): Promise<void> {
  const startedMs = performance.now()
  const server = await startHoldfast(databaseUrl, { root, environment })
  try {
    tell(root, 'ready, ms', performance.now() - startedMs)
    tell(root, 'CPU until ready, ms', cpuSeconds(server) * 1_000)
    await sleep(IDLE_MS)
    tell(root, `CPU until ${IDLE_MS} ms later, ms`, cpuSeconds(server) * 1_000)
    for (const which of ['first', 'second', 'third']) tell(root, `${page} ${which}`, await firstByteMs(server, page))
  } finally {
    await server.stop()
  }
}

function firstByteMs({ opsUrl }: Server, path: string): Promise<number> {
  const { hostname, port } = new URL(opsUrl)
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => {
    const sentMs = performance.now()
    const token = path.endsWith('/sign-in') ? '' : `authorization: Bearer ${TOKEN}\r\n`
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\n${token}connection: close\r\n\r\n`)
    socket.once('data', (chunk) => {
      const tookMs = performance.now() - sentMs
      if (chunk.toString('latin1', 0, 12) === 'HTTP/1.1 200') resolve(tookMs)
      else reject(new Error(`${path} answered ${chunk.toString('latin1', 0, 200)}`))
    })
  })
  socket.on('error', reject)
  socket.on('end', () => socket.destroy())
  return promise
}

function report(pages: readonly string[]): void {
  const at = (root: string, what: string, part: number): number => {
    const sorted = (measured.get(`${root} ${what}`) ?? []).toSorted((one, other) => one - other)
    return sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN
  }
  const costs = ['ready, ms', 'CPU until ready, ms', `CPU until ${IDLE_MS} ms later, ms`]
  for (const root of roots) {
    console.log(`\n${root}\n`)
    for (const what of costs) {
      const ratio = at(root, what, 0.5) / at(roots[0] ?? '', what, 0.5)
      console.log(`${what}: ${at(root, what, 0.5).toFixed(0)} (of the first checkout: ${ratio.toFixed(3)})`)
    }
    console.log('\n| page | first, p50 ms | longest | second | third |\n|---|--:|--:|--:|--:|')
    for (const page of pages) {
      const row = [at(root, `${page} first`, 0.5), at(root, `${page} first`, 1), at(root, `${page} second`, 0.5)]
      console.log(`| ${page} | ${[...row, at(root, `${page} third`, 0.5)].map((ms) => ms.toFixed(1)).join(' | ')} |`)
    }
  }
}

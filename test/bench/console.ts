import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/storage/open.ts'
import { EventMix, MIX_KEYS } from './event-mix.ts'
import { load, signedRequests } from './load.ts'
import { cpuSeconds, startHoldfast } from './process.ts'

/**
 * How long the pages of the console take among many events while events come at full speed, and what pages that are open and live
 * cost those. In turns on one machine. `npm run bench:console`; `BENCH_EVENTS`, `BENCH_ROUNDS` and `BENCH_PAGES` make it shorter.
 */
const EVENTS = Number(process.env.BENCH_EVENTS ?? 1_000_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 6)
const OPEN_PAGES = Number(process.env.BENCH_PAGES ?? 50)
const REQUESTS = 40_000
const CONNECTIONS = 64
/** Between two pages of one person. */
const LOOK_MS = 50
const OVERVIEW_EVERY_MS = 5_000
/** The most streams of one session. */
const STREAMS_OF_SESSION = 4
const TOKEN = 'token-of-the-benchmark-0001'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-console-'))
const databaseUrl = `file:${join(directory, 'bench.db')}`
await fill()
const environment = {
  OPS_TOKEN: TOKEN,
  SOURCES: 'ai,stripe,github',
  SOURCE_STRIPE_SECRET: 'whsec_c2VjcmV0LW9mLXRoZS1iZW5jaG1hcmstMDAwMQ==',
  SOURCE_GITHUB_SECRET: 'secret-of-the-benchmark-0002',
}
const server = await startHoldfast(databaseUrl, { environment })
try {
  console.log(`${cpus().length} cores, ${cpus()[0]?.model}; Node ${process.version}; ${EVENTS} events in the store`)
  await load(server.publicUrl, signedRequests(10_000, 'bench.handled'), CONNECTIONS)
  const sessions = await Promise.all(Array.from({ length: Math.ceil(OPEN_PAGES / STREAMS_OF_SESSION) }, signIn))
  await timePages(sessions[0] ?? '')
  await weighOpenPages(sessions)
} finally {
  await server.stop()
  rmSync(directory, { recursive: true, force: true })
}

async function fill(): Promise<void> {
  const store = await openStore(databaseUrl, {})
  await store.payloadIndex.keepPaths(MIX_KEYS.map((path) => ({ source: 'stripe', path })))
  await new EventMix().fill(store, EVENTS)
  await store.close()
}

/** The cookie of a session. */
async function signIn(): Promise<string> {
  const answer = await fetch(`${server.opsUrl}/console/sign-in`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: server.opsUrl, 'sec-fetch-site': 'same-origin' },
    body: new URLSearchParams({ token: TOKEN }),
  })
  const cookie = answer.headers.getSetCookie().map((each) => each.split(';')[0])
  if (answer.status !== 303) throw new Error(`not signed in: ${answer.status}`)
  return cookie.join('; ')
}

async function get(path: string, cookie: string, signal?: AbortSignal): Promise<Response> {
  const answer = await fetch(`${server.opsUrl}${path}`, { headers: { cookie }, ...(signal && { signal }) })
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`)
  return answer
}

/** The paths of the console that can be reached, one of each kind. */
async function findPages(cookie: string): Promise<readonly string[]> {
  const kinds = new Set<string>()
  const found: string[] = []
  const waiting = ['/console']
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const kind = path.replace(/^(\/console\/\w+\/)[^?]+/, '$1*').replaceAll(/=[^&]*/g, '=')
    if (kinds.has(kind)) continue
    kinds.add(kind)
    const answer = await get(path, cookie)
    const text = await answer.text()
    if (!answer.headers.get('content-type')?.startsWith('text/html')) continue
    found.push(path)
    for (const [, link = ''] of text.matchAll(/href="([^"]+)"/g)) {
      const to = link.replaceAll('&#x2F;', '/').replaceAll('&#x3D;', '=').replaceAll('&amp;', '&').replace(/#.*/, '')
      if (/^\/console(?:[/?](?!assets)|$)/.test(to)) waiting.push(to)
    }
  }
  return found
}

async function timePages(cookie: string): Promise<void> {
  const pages = await findPages(cookie)
  const times = new Map<string, number[]>(pages.map((path) => [path, []]))
  const sizes = new Map<string, number>()
  for (let round = 0; round < ROUNDS; round++) {
    const ingest = ingestOnce()
    while (!ingest.isOver()) {
      for (const path of pages) {
        if (ingest.isOver()) break
        const startedMs = performance.now()
        const text = await (await get(path, cookie)).text()
        times.get(path)?.push(performance.now() - startedMs)
        sizes.set(path, Buffer.byteLength(text))
        await sleep(LOOK_MS)
      }
    }
    await ingest.ended
  }
  console.log('\n| page, beside full ingest | p50 ms | longest ms | kB | times |\n|---|--:|--:|--:|--:|')
  for (const [path, all] of times) {
    const sorted = all.toSorted((one, other) => one - other)
    const row = [sorted[Math.floor(sorted.length / 2)] ?? 0, sorted.at(-1) ?? 0, (sizes.get(path) ?? 0) / 1_000]
    console.log(`| ${path} | ${row.map((number) => number.toFixed(0)).join(' | ')} | ${all.length} |`)
  }
}

function ingestOnce() {
  let isOver = false
  const ended = load(server.publicUrl, signedRequests(REQUESTS, 'bench.handled'), CONNECTIONS).finally(() => {
    isOver = true
  })
  ended.catch(() => {}) // awaited later, or never if a page has failed
  return { ended, isOver: () => isOver }
}

interface Weighed {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuMs: number
}

async function weigh(): Promise<Weighed> {
  const requests = signedRequests(REQUESTS, 'bench.handled')
  const before = cpuSeconds(server)
  const { sent, seconds, p50Ms, p99Ms } = await load(server.publicUrl, requests, CONNECTIONS)
  return { perSecond: sent / seconds, p50Ms, p99Ms, cpuMs: ((cpuSeconds(server) - before) * 1_000) / sent }
}

async function weighOpenPages(sessions: readonly string[]): Promise<void> {
  const ratios: Record<keyof Weighed, number>[] = []
  let signals = 0
  for (let round = 0; round < ROUNDS; round++) {
    const alone = round % 2 === 0 ? await weigh() : undefined
    const pages = openPages(sessions, () => signals++)
    await sleep(1_000)
    const beside = await weigh()
    await pages.close()
    const [one, other] = [beside, alone ?? (await weigh())]
    ratios.push({
      perSecond: one.perSecond / other.perSecond,
      p50Ms: one.p50Ms / other.p50Ms,
      p99Ms: one.p99Ms / other.p99Ms,
      cpuMs: one.cpuMs / other.cpuMs,
    })
  }
  const median = (field: keyof Weighed): string =>
    (ratios.map((each) => each[field]).toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0).toFixed(3)
  console.log(`\n${OPEN_PAGES} open pages (${signals} refreshed lists), of what there is without; median of ${ROUNDS}`)
  console.log(
    `acknowledged/s ${median('perSecond')}, ack p50 ${median('p50Ms')}, ack p99 ${median('p99Ms')}, CPU an event ${median('cpuMs')}`,
  )
}

/** Half of them lists of events that follow the stream, half of them overviews. */
function openPages(sessions: readonly string[], onSignal: () => void): { readonly close: () => Promise<void> } {
  const closing = new AbortController()
  const page = async (_: unknown, nth: number): Promise<void> => {
    const cookie = sessions[nth % sessions.length] ?? ''
    try {
      if (nth % 2 === 0) await followList(cookie, closing.signal, onSignal)
      else await followOverview(cookie, closing.signal)
    } catch (error) {
      if (!closing.signal.aborted) throw error
    }
  }
  const all = Promise.all(Array.from({ length: OPEN_PAGES }, page))
  return {
    close: async () => {
      closing.abort()
      await all
    },
  }
}

async function followList(cookie: string, signal: AbortSignal, onSignal: () => void): Promise<void> {
  const stream = await get('/console/live', cookie, signal)
  for await (const chunk of stream.body ?? []) {
    if (!Buffer.from(chunk).toString().includes('changed')) continue
    await (await get('/console/part/events', cookie, signal)).text()
    onSignal()
  }
}

async function followOverview(cookie: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    await (await get('/console/part/overview', cookie, signal)).text()
    await sleep(OVERVIEW_EVERY_MS, undefined, { signal })
  }
}

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { load, signedRequests } from '../load.ts'
import { cpuSeconds, type HoldfastOptions, type Server, startHoldfast } from '../process.ts'
import { sendPaced } from './paced.ts'
import { monotonicMs, noteStartsIn, type Starts } from './starts.ts'

/** Connections of a run without a rate. */
const CONNECTIONS = 64
/** For everything that was acknowledged to be handled. */
const MAX_HANDLING_MS = 60_000

export interface Pace {
  readonly name: string
  readonly events: number
  /** Undefined: as many as so many connections bear. */
  readonly perSecond?: number
}

/** A service that is measured. */
export interface Subject {
  readonly name: string
  readonly server: Server
  readonly starts: Starts
  readonly results: Map<string, Measured[]>
}

export interface Measured {
  readonly acknowledgedPerSecond: number
  readonly ackP50Ms: number
  readonly ackP99Ms: number
  /** From the acknowledgement's arrival to the handler's start; less than 0 where the handler was first. */
  readonly startP50Ms: number
  readonly startP99Ms: number
  readonly handledPerSecond: number
  readonly cpuMs: number
}

/** Starts one with a directory of its own, and a handler that does nothing. */
export async function startSubject(name: string, directory: string, options: HoldfastOptions): Promise<Subject> {
  const own = join(directory, name)
  mkdirSync(own)
  const starts = noteStartsIn(own)
  const handlers = { HANDLERS_DIR: starts.handlersDir, HANDLER_THREADS: '2', HANDLER_PROCESSES: '2' }
  const environment = { ...handlers, ...options.environment }
  const server = await startHoldfast(`file:${join(own, 'holdfast.db')}`, { ...options, environment })
  return { name, server, starts, results: new Map() }
}

async function processed({ opsUrl }: Server): Promise<number> {
  const answer = await fetch(`${opsUrl}/metrics`, { headers: { accept: 'application/json' } })
  return ((await answer.json()) as { events_processed: number }).events_processed
}

/** The service is asked only once the handlers' own notes say that all have started, so that asking costs it little. */
async function allHandled({ server, starts }: Subject, count: number, target: number): Promise<Float64Array> {
  const until = monotonicMs() + MAX_HANDLING_MS
  let startedAtMs = starts.read(count)
  while (startedAtMs.some(Number.isNaN) || (await processed(server)) < target) {
    if (monotonicMs() > until) throw new Error(`not all handled within ${MAX_HANDLING_MS} ms`)
    await sleep(20)
    startedAtMs = starts.read(count)
  }
  return startedAtMs
}

async function send(url: string, requests: readonly Buffer[], perSecond: number | undefined) {
  if (perSecond !== undefined) {
    const { seconds, latenciesMs, ackedAtMs } = await sendPaced(url, requests, perSecond)
    return { seconds, ackP50Ms: quantile(latenciesMs, 0.5), ackP99Ms: quantile(latenciesMs, 0.99), ackedAtMs }
  }
  const ackedAtMs = new Float64Array(requests.length)
  const { seconds, p50Ms, p99Ms } = await load(url, requests, CONNECTIONS, (index) => {
    ackedAtMs[index] = monotonicMs()
  })
  return { seconds, ackP50Ms: p50Ms, ackP99Ms: p99Ms, ackedAtMs }
}

export async function measure(subject: Subject, { events, perSecond }: Pace): Promise<Measured> {
  const { server, starts } = subject
  const requests = signedRequests(events, 'bench.rate')
  starts.forget()
  const target = (await processed(server)) + events
  const cpuBefore = cpuSeconds(server)
  const sentAtMs = monotonicMs()
  const { seconds, ackP50Ms, ackP99Ms, ackedAtMs } = await send(server.publicUrl, requests, perSecond)
  const startedAtMs = await allHandled(subject, events, target)
  const handlingSeconds = (Math.max(...startedAtMs) - sentAtMs) / 1_000
  const cpuMs = ((cpuSeconds(server) - cpuBefore) * 1_000) / events
  const waits = startedAtMs.map((atMs, n) => atMs - (ackedAtMs[n] ?? Number.NaN))
  return {
    acknowledgedPerSecond: events / seconds,
    ackP50Ms,
    ackP99Ms,
    startP50Ms: quantile(waits, 0.5),
    startP99Ms: quantile(waits, 0.99),
    handledPerSecond: events / handlingSeconds,
    cpuMs,
  }
}

const quantile = (values: Float64Array, part: number): number =>
  values.toSorted()[Math.floor((values.length - 1) * part)] ?? Number.NaN

export const median = (values: readonly number[]): number => quantile(Float64Array.from(values), 0.5)

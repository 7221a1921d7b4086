import type { Clock } from '../domain/clock.ts'
import type { Role } from '../domain/config.ts'
import type { DeadCauses } from '../domain/dead-letters.ts'
import type { DeliveryQueue } from '../domain/delivery-queue.ts'
import type { DriftStore } from '../domain/drift-store.ts'
import type { EventFacets } from '../domain/event-facets.ts'
import type { PauseService } from '../domain/pause.ts'
import type { LastReload } from '../domain/reload.ts'
import type { SourceState } from '../domain/source.ts'
import type { SourceHealth } from '../domain/source-health.ts'
import { STAT_SPANS, type StatSpan, type StatStore } from '../domain/stat-store.ts'
import type { ReadStatus, RecentNumbers, ServiceStatus } from '../domain/status.ts'
import type { StoreHealth } from '../domain/store-health.ts'
import { within } from '../domain/within.ts'
import { type Observed, RECENT_HOURS } from './check.ts'
import { type ExpiredTasks, readExpiredTasks } from './expired-tasks.ts'
import { readFailing, readWaiting } from './handler-problems.ts'
import { Numbers } from './numbers.ts'
import { problemsOf } from './problems.ts'
import { statRows, timesOf } from './read-stats.ts'
import { SERVICE } from './stats-recorder.ts'

/** What the store does not tell within this time is left out. */
const TIMEOUT_MS = 2_000
/** How long after it was read an answer is given again, so that many pages that show it cost one reading. */
const FRESH_MS = 1_000
const RATE_MINUTES = 5
/** Changes of shapes that are counted at most. */
const MAX_DRIFT = 200
/** Sources whose state is read; each takes queries. */
const MAX_SOURCES = 500
/** Sources whose events that were not understood are counted. */
const MAX_QUARANTINED = 10
/** Sources whose expired tasks are looked for. */
const MAX_EXPIRED = 50

export interface StatusParts {
  readonly store: Pick<StoreHealth, 'faults' | 'warnings' | 'counts' | 'size'> &
    Pick<StatStore, 'statRows'> &
    Pick<DriftStore, 'driftEntries'> &
    Pick<DeliveryQueue, 'deliveries'> & {
      readonly facets: Pick<EventFacets, 'countByOutcome' | 'retrying' | 'waiting'>
      readonly replicas: { workers(): readonly { readonly handlers: readonly Named[] | undefined }[] } | undefined
    }
  readonly kind: ServiceStatus['store']['kind']
  readonly role: Role
  readonly routeFaults: () => readonly string[]
  readonly retentionWarnings: () => readonly string[]
  readonly clockOffSeconds: () => number
  readonly lastReload: () => LastReload
  readonly pauses: Pick<PauseService, 'list' | 'isDraining'>
  readonly sources: () => readonly string[]
  readonly sourceState: (source: string) => Promise<SourceState>
  readonly sourceHealth: (source: string) => SourceHealth
  readonly deadCauses: () => Promise<DeadCauses>
  /** The handlers of all processes, also of those that do not run. */
  readonly handlers: () => readonly Named[]
  readonly clock: Clock
}

interface Named {
  readonly name: string
}

/** Reads what all parts tell. Never rejects: with the store away, it tells what the process itself knows. */
export function createReadStatus(parts: StatusParts): ReadStatus {
  const startedAtMs = parts.clock()
  let last: { readonly status: Promise<ServiceStatus>; readAtMs: number } | undefined
  return () => {
    if (last !== undefined && performance.now() - last.readAtMs <= FRESH_MS) return last.status
    const mine = { status: readStatus(parts, startedAtMs), readAtMs: Number.POSITIVE_INFINITY }
    last = mine
    void mine.status.finally(() => {
      mine.readAtMs = performance.now()
    })
    return mine.status
  }
}

async function readStatus(parts: StatusParts, startedAtMs: number): Promise<ServiceStatus> {
  const { store, clock } = parts
  const nowMs = clock()
  const dayAgoMs = nowMs - (RECENT_HOURS - 1) * STAT_SPANS.hour
  const running = runningHandlers(parts)
  const pauses = parts.pauses.list()
  const paused = pauses.flatMap(({ kind, name }) => (kind === 'handler' ? [name] : []))
  const [counts, size, drift, deadCauses, sources, failing, day, minutes] = await Promise.all([
    inTime(store.counts(running)),
    inTime(store.size()),
    inTime(store.driftEntries({ sinceMs: nowMs - RECENT_HOURS * STAT_SPANS.hour }, { limit: MAX_DRIFT })),
    inTime(parts.deadCauses()),
    statesOf(parts),
    inTime(readFailing(store, (handler) => running.includes(handler) && !paused.includes(handler))),
    inTime(numbersBySource(store, 'hour', dayAgoMs, nowMs)),
    inTime(numbersBySource(store, 'minute', nowMs - RATE_MINUTES * STAT_SPANS.minute, nowMs)),
  ])
  const isMute = [counts, drift, day, minutes].every((read) => read === undefined)
  const faults = store.faults()
  const storeFaults = faults.length === 0 && isMute ? ['the store does not answer'] : faults
  const health = new Map(parts.sources().map((source) => [source, parts.sourceHealth(source)]))
  const observed: Observed = {
    nowMs,
    storeFaults,
    storeWarnings: store.warnings(),
    routeFaults: parts.routeFaults(),
    retentionWarnings: parts.retentionWarnings(),
    clockOffSeconds: parts.clockOffSeconds(),
    lastReload: parts.lastReload(),
    pauses,
    isDraining: parts.pauses.isDraining,
    counts,
    size,
    deadCauses: deadCauses?.causes ?? [],
    sources,
    health,
    recent: day ?? new Map(),
    quarantined: await stillQuarantined(store, day ?? new Map(), startOf('hour', dayAgoMs)),
    expired: await expiredTasks(store, day ?? new Map(), startOf('hour', dayAgoMs), nowMs),
    failing: failing ?? [],
    waiting: (await inTime(readWaiting(store, { counts, paused, running, nowMs }))) ?? new Map(),
    missingHandlers: missingHandlers(parts, counts?.unserved),
    drift: drift?.items ?? [],
  }
  return {
    atMs: nowMs,
    startedAtMs,
    role: parts.role,
    problems: problemsOf(observed),
    store: { kind: parts.kind, faults: storeFaults, bytes: size?.bytes, freeBytes: size?.freeBytes },
    counts,
    recent: minutes === undefined ? undefined : recentOf(minutes),
    lastEventAtMs: latest([...sources.values(), ...health.values()].map(({ lastWebhookAtMs }) => lastWebhookAtMs)),
    sources: parts.sources().length,
    handlers: parts.handlers().length,
    workers: store.replicas?.workers().length,
  }
}

const inTime = <Value>(value: Promise<Value>): Promise<Value | undefined> => within(TIMEOUT_MS, value)

async function statesOf({ sources, sourceState }: StatusParts): Promise<ReadonlyMap<string, SourceState>> {
  const states = await Promise.all(
    sources()
      .slice(0, MAX_SOURCES)
      .map(async (source) => [source, await inTime(sourceState(source))] as const),
  )
  return new Map(states.flatMap(([source, state]) => (state === undefined ? [] : [[source, state]])))
}

async function numbersBySource(
  store: Pick<StatStore, 'statRows'>,
  span: StatSpan,
  fromMs: number,
  nowMs: number,
): Promise<ReadonlyMap<string, Numbers>> {
  const sinceMs = startOf(span, fromMs)
  const bySource = new Map<string, Numbers>()
  for await (const { source, numbers } of statRows(store, { span, sinceMs, untilMs: nowMs + 1 })) {
    if (source === SERVICE) continue
    const sums = bySource.get(source) ?? new Numbers()
    bySource.set(source, sums)
    sums.addText(numbers)
  }
  return bySource
}

const startOf = (span: StatSpan, atMs: number): number => atMs - (atMs % STAT_SPANS[span])

/** By source, the events that came quarantined, without those that a replay has understood since, as far as they can be counted. */
async function stillQuarantined(
  { facets }: Pick<StatusParts['store'], 'facets'>,
  recent: ReadonlyMap<string, Numbers>,
  sinceMs: number,
): Promise<ReadonlyMap<string, number>> {
  const came = [...recent].flatMap(([source, { quarantined }]) =>
    quarantined > 0 ? [[source, quarantined] as const] : [],
  )
  const counted = await Promise.all(
    came.slice(0, MAX_QUARANTINED).map(async ([source, count]) => {
      const now = await inTime(facets.countByOutcome({ source, status: 'quarantined', sinceMs }))
      const counts = Object.values(now ?? {})
      const isKnown = counts.length > 0 && !counts.some(({ more }) => more)
      return [source, isKnown ? counts.reduce((total, each) => total + each.count, 0) : count] as const
    }),
  )
  return new Map([...came, ...counted])
}

async function expiredTasks(
  store: Pick<StatStore, 'statRows'>,
  recent: ReadonlyMap<string, Numbers>,
  sinceMs: number,
  nowMs: number,
): Promise<ReadonlyMap<string, ExpiredTasks>> {
  const sources = [...recent].filter(([, { expired }]) => expired > 0).map(([source]) => source)
  const read = await Promise.all(
    sources
      .slice(0, MAX_EXPIRED)
      .map(async (source) => [source, await inTime(readExpiredTasks(store, source, sinceMs, nowMs + 1))] as const),
  )
  return new Map(read.flatMap(([source, tasks]) => (tasks === undefined ? [] : [[source, tasks]])))
}

function recentOf(bySource: ReadonlyMap<string, Numbers>): RecentNumbers {
  const total = new Numbers()
  for (const numbers of bySource.values()) total.add(numbers)
  const { received, duplicates, handled, failed, dead, refused, ack } = total
  return {
    minutes: RATE_MINUTES,
    received,
    duplicates,
    refused: [...refused.values()].reduce((sum, count) => sum + count, 0),
    handled,
    failed,
    dead,
    ack: timesOf(ack),
  }
}

/** Names of the handlers that a running worker has. */
function runningHandlers({ store, handlers }: StatusParts): readonly string[] {
  const running = store.replicas?.workers().map((worker) => worker.handlers ?? []) ?? [handlers()]
  return [...new Set(running.flat().map(({ name }) => name))]
}

/** Handlers for which deliveries may wait without end: only processes that do not run have them, or none any more. */
function missingHandlers(parts: StatusParts, unserved: readonly string[] = []): readonly string[] {
  const running = new Set(runningHandlers(parts))
  const known = parts.handlers().map(({ name }) => name)
  return [...new Set([...known, ...unserved])].filter((name) => !running.has(name))
}

const latest = (times: readonly (number | undefined)[]): number | undefined =>
  times.reduce((last, time) => (time === undefined || (last !== undefined && last >= time) ? last : time), undefined)

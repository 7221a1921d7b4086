import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { Pauses, type PauseView } from '../../src/dispatch/pauses.ts'
import { HandlerPool } from '../../src/dispatch/pool/pool.ts'
import type { Attempt, DeliverySummary } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import type { HandlerDefinition } from '../../src/domain/handler.ts'
import type { HandlerPolicy } from '../../src/domain/handler-policy.ts'
import { newUid } from '../../src/domain/names.ts'
import type { RateShare } from '../../src/domain/rate-share.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { Telemetry } from '../../src/domain/telemetry.ts'
import { createEventWriter } from '../../src/pipeline/event-writer.ts'
import { eventually } from '../support/eventually.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

const silent = pino({ level: 'silent' })

type Report = { readonly kind: 'processed' | 'failed'; readonly handler: string }

interface DispatcherOptions {
  readonly maxAttempts?: number
  readonly timeoutMs?: number
  readonly processes?: number
  readonly concurrency?: number
  readonly receiving?: () => number
  readonly maxIdleMs?: () => number
  readonly handlers?: readonly string[]
  /** An embedded one that is empty, unless given. */
  readonly store?: OpenStore
  readonly rateShareOf?: (handler: string) => RateShare
  readonly monotonicMs?: () => number
  readonly pauses?: PauseView
  /** Called with the answer of each claim, before the dispatcher has it. */
  readonly onAnswer?: (leased: number) => void
  /** Of single handlers. */
  readonly policies?: Readonly<Record<string, HandlerPolicy>>
}

/** Pauses of an embedded store, which tell a dispatcher that does not exist yet. */
export function startPauses(store: OpenStore) {
  let onChange = (): void => {}
  const service = new Pauses({
    store: store.pauses,
    isShared: false,
    hasOthers: () => false,
    onChange: () => onChange(),
    log: silent,
  })
  onTestFinished(() => service.stop())
  return {
    service,
    view: service,
    tell: (to: () => void) => {
      onChange = to
    },
  }
}

type Data = Record<string, unknown>
type OnEnd = (end: () => Promise<void>) => void

const PLAIN = { redact: (text: string) => text, handlersDir: '/handlers' }

/** A store, handler processes and a dispatcher between them, as the service has them. */
export async function startDispatcher(options: DispatcherOptions = {}, onEnd: OnEnd = onTestFinished) {
  const store = options.store ?? (await openEmptyStore())
  const pool = createPool(options)
  const starts = noteStarts(pool)
  const reports: Report[] = []
  /** How many deliveries each claim has leased. */
  const claims: number[] = []
  /** What the dispatcher has logged. */
  const logged: { readonly msg: string; readonly deliveries?: number }[] = []
  const telemetry = reporting(reports)
  const dispatcher = new Dispatcher({
    store: {
      claim: async (request) => {
        const claimed = await store.claim(request)
        claims.push(claimed.work.length)
        options.onAnswer?.(claimed.work.length)
        return claimed
      },
      settle: (settlements) => store.settle(settlements),
    },
    pool,
    handlers: handlersOf(await pool.start(), options),
    routesOf: (source) => ({ source, accepts: ['*'], handlers: [] }),
    receiving: options.receiving ?? (() => 0),
    ...PLAIN,
    attempts: {
      timeoutMs: options.timeoutMs ?? 5_000,
      retry: { maxAttempts: options.maxAttempts ?? 2, baseMs: 1, capMs: 1 },
    },
    ...asGiven(options),
    clock: Date.now,
    random: Math.random,
    telemetry,
    log: pino({ level: 'info' }, { write: (line) => void logged.push(JSON.parse(line)) }),
  })
  onEnd(async () => {
    await dispatcher.stop(0, 0)
    await store.close()
  })

  /** Keeps an event for these handlers, to be found by the dispatcher. */
  async function append(handlers: readonly string[], data: Record<string, unknown> = {}, tell = true): Promise<string> {
    const { uid } = await store.append(eventFor(handlers, data, newUid()))
    if (tell) dispatcher.wake()
    return uid
  }

  const writeEvent = createEventWriter({
    append: (event) => store.append(event),
    telemetry,
    log: silent,
    dispatch: dispatcher,
  })

  /** Keeps an event as the door does. */
  const keep = (handlers: readonly string[], data: Data = {}, id: string = newUid(), given: Partial<NewEvent> = {}) =>
    writeEvent({ ...eventFor(handlers, data, id), ...given }, { ok: false, id, type: 'test', reasons: [] })

  type Ended = DeliverySummary & { readonly history: readonly Attempt[] }

  /** The deliveries of an event once none of them is pending or running. */
  async function ended(uid: string): Promise<readonly Ended[]> {
    const detail = await eventually(
      () => store.event(uid),
      (event) => event?.deliveries.every(({ state }) => state === 'succeeded' || state === 'dead') ?? false,
    )
    return detail?.deliveries ?? []
  }
  return { store, pool, dispatcher, append, keep, ended, reports, starts, claims, logged }
}

const asGiven = ({ maxIdleMs, rateShareOf, monotonicMs, pauses }: DispatcherOptions) => ({
  ...(maxIdleMs !== undefined && { maxIdleMs }),
  ...(rateShareOf !== undefined && { rateShareOf }),
  ...(monotonicMs !== undefined && { monotonicMs }),
  ...(pauses !== undefined && { pauses }),
})

const handlersOf = (
  registered: readonly HandlerDefinition[],
  { handlers, policies }: DispatcherOptions,
): readonly HandlerDefinition[] =>
  registered
    .filter(({ name }) => handlers?.includes(name) ?? true)
    .map(({ name, types }) => ({ name, types, ...(name === 'wait' && { concurrency: 2 }), ...policies?.[name] }))

function eventFor(handlers: readonly string[], data: Record<string, unknown>, id: string): NewEvent {
  const uid = newUid()
  const body = Buffer.from(JSON.stringify({ type: 'test', ...data }))
  return {
    uid,
    source: 'acme',
    provider: 'acme',
    id,
    type: 'test',
    createdAt: new Date().toISOString(),
    createdAtSource: 'provider',
    receivedAtMs: Date.now(),
    origin: 'webhook',
    status: 'accepted',
    reasons: [],
    headers: {},
    body,
    handlers,
  }
}

function createPool({ processes, concurrency, timeoutMs }: DispatcherOptions): HandlerPool {
  return new HandlerPool({
    data: {
      handlersDir: join(import.meta.dirname, 'modules'),
      providerModules: { acme: pathToFileURL(join(import.meta.dirname, 'acme-provider.ts')).href },
      logLevel: 'silent',
      logStyle: 'json',
      secrets: [],
    },
    environment: process.env,
    memoryMb: 128,
    onDroppedLines: () => {},
    processes: processes ?? 1,
    concurrency: concurrency ?? 8,
    timeoutMs: timeoutMs ?? 5_000,
    log: silent,
  })
}

/** Notes when each attempt of a handler began in its process, once it has ended. */
function noteStarts(pool: HandlerPool): Map<string, number[]> {
  const starts = new Map<string, number[]>()
  const run = pool.run.bind(pool)
  pool.run = async (work, timeoutMs) => {
    const result = await run(work, timeoutMs)
    starts.set(work.handler, [...(starts.get(work.handler) ?? []), result.startedAtMs])
    return result
  }
  return starts
}

/** Keeps a report of each attempt. */
function reporting(reports: Report[]): Telemetry {
  return {
    request: () => {},
    acknowledged: () => {},
    received: () => {},
    unhandled: () => {},
    processed: (_source, _type, handler) => reports.push({ kind: 'processed', handler }),
    failed: (_source, _type, handler) => reports.push({ kind: 'failed', handler }),
    started: () => undefined,
    dead: () => undefined,
    polled: () => {},
    taskResolved: () => {},
    drifted: () => {},
  }
}

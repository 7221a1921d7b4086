import pino from 'pino'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { createMetrics } from '../../src/app/metrics.ts'
import { Retention } from '../../src/app/retention.ts'
import { Pauses } from '../../src/dispatch/pauses.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { OpsAccess } from '../../src/http/ops/access.ts'
import { createOpsListener, type OpsListenerOptions } from '../../src/http/ops/ops-listener.ts'
import { createReadDeadCauses } from '../../src/monitoring/dead-causes.ts'
import { LiveFeed } from '../../src/monitoring/live-events.ts'
import { createReadStats } from '../../src/monitoring/read-stats.ts'
import { createReadStatus } from '../../src/monitoring/read-status.ts'
import { createInlineReader } from '../../src/pipeline/body-reader.ts'
import { compileRoutes } from '../../src/pipeline/routes.ts'
import { createWebhookManager } from '../../src/registrations/webhook-manager.ts'
import { createReplayService } from '../../src/replays/replay-service.ts'
import { createTasks, watchTasks } from '../../src/tasks/tasks.ts'
import { connectedSource } from '../support/connected-source.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { source } from './public-service.ts'

export const event = (overrides: Partial<NewEvent> = {}): NewEvent => {
  const uid = newUid()
  return {
    uid,
    source: 'ai',
    provider: 'ai',
    id: `evt_${uid}`,
    type: 'completion.finished',
    createdAt: '2026-01-01T00:00:00Z',
    createdAtSource: 'provider',
    receivedAtMs: Date.now(),
    origin: 'webhook',
    status: 'accepted',
    reasons: [],
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{"type":"completion.finished"}'),
    handlers: ['log'],
    ...overrides,
  }
}

export interface OpsService {
  readonly port: number
  readonly url: string
  readonly store: OpenStore
  readonly get: (path: string, init?: RequestInit) => Promise<Response>
}

/** An ops listener over a real store, on a port of its own, closed with the test. */
export async function startOps(overrides: Partial<OpsListenerOptions> = {}): Promise<OpsService> {
  const { close, ...service } = await openOps(overrides)
  onTestFinished(close)
  return service
}

/** The same for all tests of a suite, which then must not write: a store takes its time to open. */
export function shareOps(overrides: Partial<OpsListenerOptions> = {}): () => OpsService {
  let opened: (OpsService & { readonly close: () => Promise<void> }) | undefined
  beforeAll(async () => {
    opened = await openOps(overrides)
  })
  afterAll(() => opened?.close())
  return () => {
    if (opened === undefined) throw new Error('not open')
    return opened
  }
}

async function openOps(
  overrides: Partial<OpsListenerOptions>,
): Promise<OpsService & { readonly close: () => Promise<void> }> {
  const store = await openEmptyStore()
  const app = createOpsListener({ ...opsDefaults(store), ...overrides })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    port: Number(new URL(url).port),
    url,
    store,
    get: (path, init) => fetch(url + path, init),
    close: async () => {
      app.server.closeAllConnections()
      await app.close()
      await store.close()
    },
  }
}

export function opsDefaults(store: OpenStore): OpsListenerOptions {
  const handlers = [{ name: 'log', types: ['completion.*'] }]
  const log = pino({ level: 'silent' })
  return {
    store,
    deadCauses: createReadDeadCauses(store),
    live: new LiveFeed({ store, log }),
    replays: replaysOf(store),
    replay: async (uid, handler) =>
      store.replay({ eventUid: uid, handlers: [handler ?? 'log'], status: 'accepted', reasons: [] }),
    tasks: createTasks({
      store,
      watch: watchTasks({ store, pushes: () => true, clock: Date.now, log, telemetry: { taskResolved: () => {} } }),
      sources: [connectedSource(source('ai'))],
      reader: createInlineReader(compileRoutes([])),
      pollAnswers: { keepAnswer: async () => 'late', keepExpiry: async () => 'late' },
      maxWaitMs: 300_000,
      deadlineMs: 86_400_000,
      pollIntervalMs: 5_000,
      clock: Date.now,
      random: Math.random,
      telemetry: { polled: () => {} },
      log,
    }).service,
    webhooks: createWebhookManager({ sources: new Map(), log }),
    retention: new Retention({
      store,
      retentionDays: 30,
      deadRetentionDays: 60,
      waits: () => ({ retryMs: 1, retryAfterMs: 1, pollMs: 1, leaseMs: 1 }),
      onRepaired: () => {},
      log,
    }),
    sourceState: async () => ({ lastWebhookAtMs: 0, recovered: 2, breaker: 'open', silentSinceMs: undefined }),
    sources: () => [{ ...source('ai'), url: 'https://hooks.example/v1/webhooks/ai' }, source('forms')],
    sourceHealth: () => ({
      lastWebhookAtMs: undefined,
      usualGapMs: 90_000,
      silentSinceMs: undefined,
      refusingSinceMs: 0,
      refusingReason: 'signature_mismatch',
    }),
    secretUses: () => [{ place: 1, verified: 2, lastVerifiedAtMs: undefined, sinceMs: 0 }],
    handlers: () => handlers,
    attempts: () => ({ timeoutMs: 30_000, retry: { maxAttempts: 12, baseMs: 1_000, capMs: 3_600_000 } }),
    isRunning: (handler) => handler !== 'stopped',
    reload: async () => ({ ok: false, faults: ['nothing is reloaded here'] }),
    metrics: createMetrics({
      sources: () => new Set(['ai', 'forms']),
      handlers: () => handlers,
      counts: () => store.counts(),
      droppedLogLines: () => 0,
    }),
    audit: { record: (entry) => store.audit.record(entry) },
    access: opsAccess(),
    pauses: new Pauses({ store: store.pauses, isShared: false, hasOthers: () => false, onChange: () => {}, log }),
    metricsOpen: false,
    stats: createReadStats(store, Date.now),
    status: statusOf(store, handlers),
    readiness: () => store.faults(),
    log,
  }
}

/** Access by these tokens; without any, from this machine only. */
export function opsAccess(given: Partial<OpsAccess> = {}): () => OpsAccess {
  const access = { tokens: [], readTokens: [], host: '127.0.0.1', allowedHosts: [], ...given }
  return () => access
}

const replaysOf = (store: OpenStore) =>
  createReplayService({
    jobs: store.replayJobs,
    event: (uid) => store.event(uid),
    isSource: (name) => name === 'ai' || name === 'forms',
    isHandler: (name) => name === 'log',
    isCause: async (cause) => (await store.deadCauses({ cause })).causes.length > 0,
    onCreated: () => {},
    monotonicMs: () => performance.now(),
  })

const statusOf = (store: OpenStore, handlers: readonly { readonly name: string }[]) =>
  createReadStatus({
    store,
    kind: 'sqlite',
    role: 'all',
    routeFaults: () => [],
    retentionWarnings: () => [],
    clockOffSeconds: () => 0,
    lastReload: () => ({ ok: true, succeededAtMs: Date.now() }),
    pauses: { list: () => [], isDraining: false },
    sources: () => ['ai', 'forms'],
    sourceState: async () => ({ lastWebhookAtMs: 0, recovered: 2, breaker: 'closed', silentSinceMs: undefined }),
    deadCauses: () => store.deadCauses({}),
    sourceHealth: () => ({
      lastWebhookAtMs: undefined,
      usualGapMs: undefined,
      silentSinceMs: undefined,
      refusingSinceMs: undefined,
      refusingReason: undefined,
    }),
    handlers: () => handlers,
    clock: Date.now,
  })

/** Asserts a problem of this status; gives its detail. */
export async function detailOf(answer: Response, status: number): Promise<string> {
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  return String(((await answer.json()) as { detail?: string }).detail)
}

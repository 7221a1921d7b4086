import { describe, expect, test } from 'vitest'
import { PROBLEMS } from '../../src/domain/problem.ts'
import type { SourceState } from '../../src/domain/source.ts'
import type { SourceHealth } from '../../src/domain/source-health.ts'
import type { Observed } from '../../src/monitoring/check.ts'
import { Numbers } from '../../src/monitoring/numbers.ts'
import { problemsOf } from '../../src/monitoring/problems.ts'

const NOW_MS = Date.parse('2026-11-03T04:00:00Z')

const counts = {
  deliveries: { pending: 0, running: 0, succeeded: 5, dead: 0, discarded: 0 },
  oldestDueAtMs: undefined,
  tasks: { submitting: 0, pending: 0, completed: 0, failed: 0, cancelled: 0, expired: 3 },
}

const outage = { sinceMs: 7, cause: 'the provider answered 503', retryInMs: 10_000 }
const state: SourceState = { lastWebhookAtMs: NOW_MS, recovered: 0, breaker: 'closed', silentSinceMs: undefined }

const health: SourceHealth = {
  lastWebhookAtMs: NOW_MS,
  usualGapMs: undefined,
  silentSinceMs: undefined,
  refusingSinceMs: undefined,
  refusingReason: undefined,
}

const well: Observed = {
  nowMs: NOW_MS,
  storeFaults: [],
  storeWarnings: [],
  routeFaults: [],
  retentionWarnings: [],
  clockOffSeconds: 0,
  lastReload: { ok: true, succeededAtMs: NOW_MS },
  pauses: [],
  isDraining: false,
  counts,
  size: { bytes: 1, freeBytes: 2 ** 40 },
  deadCauses: [],
  sources: new Map([['ai', state]]),
  health: new Map([['ai', health]]),
  recent: new Map([['ai', new Numbers()]]),
  quarantined: new Map([['ai', 0]]),
  expired: new Map(),
  failing: [],
  waiting: new Map(),
  missingHandlers: [],
  drift: [],
}

/** Numbers with these sums. */
function numbers(sums: Partial<Pick<Numbers, 'expired'>>, refused: Record<string, number> = {}) {
  const made = Object.assign(new Numbers(), sums)
  for (const [reason, n] of Object.entries(refused)) made.refuse(reason as 'signature_mismatch', n)
  return new Map([['ai', made]])
}

const pending = (sinceMs: number) => ({
  ...counts,
  deliveries: { ...counts.deliveries, pending: 7 },
  oldestDueAtMs: NOW_MS - sinceMs,
})

const waits = (count: number, handler = 'bill') => ({ handler, pending: { count, more: false }, dueSinceMs: undefined })

test('a service that is well has no problem', () => {
  expect(problemsOf(well)).toEqual([])
})

test('a service whose store tells nothing has no problem but the store', () => {
  const away = {
    ...well,
    counts: undefined,
    size: undefined,
    sources: new Map(),
    recent: new Map(),
    storeFaults: ['gone', 'lost'],
  }
  expect(problemsOf(away)).toMatchObject([{ problem: 'store_failing', count: 2, cause: 'gone; lost' }])
})

describe('a problem', () => {
  test.each<[string, Partial<Observed>, object]>([
    ['store_failing', { storeFaults: ['disk full'] }, { severity: 'critical', count: 1, cause: 'disk full' }],
    ['store_damaged', { storeWarnings: ['page 7'] }, { severity: 'warning', cause: 'page 7' }],
    ['routes_unknown', { routeFaults: ['no worker'] }, { severity: 'critical' }],
    ['handler_missing', { missingHandlers: ['billing'] }, { severity: 'critical', handler: 'billing' }],
    ['clock_off', { clockOffSeconds: -90 }, { severity: 'critical', summary: 'the clock is 90 s behind' }],
    ['retention_held', { retentionWarnings: ['held'] }, { command: 'holdfast retention show' }],
    [
      'source_paused',
      { pauses: [{ kind: 'source', name: 'ai', by: 'alice', reason: 'wrong amounts', sinceMs: 5 }] },
      {
        severity: 'notice',
        source: 'ai',
        cause: 'by alice: wrong amounts',
        sinceMs: 5,
        command: 'holdfast sources resume ai',
      },
    ],
    [
      'handler_paused',
      { pauses: [{ kind: 'handler', name: 'bill', by: 'alice', sinceMs: 5 }] },
      { severity: 'notice', handler: 'bill', cause: 'by alice', command: 'holdfast handlers resume bill' },
    ],
    [
      'handler_paused',
      {
        pauses: [{ kind: 'handler', name: 'bill', by: 'alice', sinceMs: 5 }],
        waiting: new Map([['bill', waits(14)]]),
      },
      { summary: '14 deliveries wait while it is paused', count: 14, sinceMs: 5 },
    ],
    ['draining', { isDraining: true }, { severity: 'notice', command: 'holdfast drain --off' }],
    [
      'reload_failed',
      { lastReload: { ok: false, succeededAtMs: 0, refused: { faults: ['PORT is x', 'HOST is y'], sinceMs: 5 } } },
      { severity: 'warning', count: 2, cause: 'PORT is x; HOST is y', sinceMs: 5, command: 'holdfast reload' },
    ],
    [
      'backlog',
      { counts: pending(61_000) },
      { severity: 'warning', count: 7, sinceMs: NOW_MS - 61_000, command: 'holdfast events list --outcome pending' },
    ],
    ['backlog', { counts: pending(901_000) }, { severity: 'critical' }],
    [
      'backlog',
      { counts: pending(61_000), waiting: new Map([['pdf', { ...waits(33, 'pdf'), dueSinceMs: NOW_MS - 60_000 }]]) },
      { handler: 'pdf', summary: '33 deliveries wait', count: 33, sinceMs: NOW_MS - 60_000 },
    ],
    [
      'handler_failing',
      { failing: [{ handler: 'crm', count: 12, more: false, sinceMs: 5, error: 'CRM answered 503' }] },
      {
        severity: 'warning',
        handler: 'crm',
        summary: 'most attempts fail; 12 deliveries wait to be tried again',
        count: 12,
        sinceMs: 5,
        cause: 'CRM answered 503',
      },
    ],
    [
      'dead_letters',
      { counts: { ...counts, deliveries: { ...counts.deliveries, dead: 1 } } },
      { count: 1, summary: '1 dead letter' },
    ],
    [
      'source_silent',
      { sources: new Map([['ai', { ...state, silentSinceMs: 5 }]]) },
      { source: 'ai', sinceMs: 5, command: 'holdfast registrations list --source ai' },
    ],
    [
      'source_silent',
      { health: new Map([['shop', { ...health, silentSinceMs: 9, usualGapMs: 90_000 }]]) },
      {
        source: 'shop',
        sinceMs: 9,
        cause: 'usually one every 2 min',
        command: 'holdfast events list --source shop --limit 5',
      },
    ],
    ['disk_low', { size: { bytes: 1, freeBytes: 2 ** 29 } }, { severity: 'warning' }],
    [
      'disk_low',
      { size: { bytes: 1, freeBytes: 2 ** 26 } },
      { severity: 'critical', summary: '64 MiB are left on the disk of the store' },
    ],
    [
      'refusals',
      {
        health: new Map([['ai', { ...health, refusingSinceMs: 9, refusingReason: 'signature_mismatch' as const }]]),
        recent: numbers({}, { too_large: 1, signature_mismatch: 40 }),
      },
      { severity: 'critical', count: 41, cause: 'signature_mismatch', source: 'ai', sinceMs: 9 },
    ],
    [
      'schema_drift',
      {
        drift: [
          { source: 'ai', type: 'a.b', path: 'x', what: 'new', to: 'string', atMs: 9, event: 'e' },
          { source: 'ai', type: 'a.b', path: 'y', what: 'vanished', from: 'string', atMs: 4, event: 'e' },
        ],
      },
      { severity: 'notice', source: 'ai', count: 2, sinceMs: 4, cause: 'a.b x: new' },
    ],
    [
      'breaker_open',
      { sources: new Map([['ai', { ...state, breaker: 'open' as const, outage }]]) },
      { source: 'ai', cause: 'the provider answered 503', sinceMs: 7 },
    ],
    ['events_quarantined', { quarantined: new Map([['ai', 4]]) }, { count: 4, source: 'ai' }],
    [
      'tasks_stuck',
      { sources: new Map([['ai', { ...state, stuck: { count: 2, staleAtMs: 7 } }]]) },
      { severity: 'warning', summary: '2 tasks should be over for an hour, and the polls fail', count: 2, sinceMs: 7 },
    ],
    [
      'tasks_expired',
      { expired: new Map([['ai', { count: 2, lastAtMs: NOW_MS - 3_600_000 }]]) },
      { severity: 'warning', count: 2, source: 'ai', lastMs: NOW_MS - 3_600_000 },
    ],
    [
      'tasks_expired',
      { expired: new Map([['ai', { count: 2, lastAtMs: NOW_MS - 3_600_001 }]]) },
      { severity: 'notice', count: 2, source: 'ai' },
    ],
  ])('%s is a problem when the parts say %j', (problem, told, expected) => {
    expect(problemsOf({ ...well, ...told })).toMatchObject([{ problem, ...expected }])
  })

  test('is no problem for deliveries that have only just become due, nor for refusals without an episode', () => {
    expect(problemsOf({ ...well, counts: pending(59_000), recent: numbers({}, { signature_mismatch: 9 }) })).toEqual([])
  })
})

test('dead letters are a problem for each cause, and those of further causes are one together', () => {
  const deadCauses = [9, 8, 7, 6, 5, 4].map((count, at) => ({
    id: `c${at}`,
    signature: 'timeout of ‹n› ms',
    handler: 'billing',
    source: 'ai',
    count,
    isCapped: false,
    firstAtMs: at,
    lastAtMs: NOW_MS,
    hourly: [],
  }))
  const dead = { ...counts, deliveries: { ...counts.deliveries, dead: 40 } }
  const told = problemsOf({ ...well, counts: dead, deadCauses })
  expect(told.map(({ count }) => count)).toEqual([9, 8, 7, 6, 5, 5])
  expect(told[0]).toMatchObject({
    cause: 'timeout of ‹n› ms',
    handler: 'billing',
    command: 'holdfast dead list --cause c0',
  })
  expect(told.at(-1)).toMatchObject({ summary: '5 other dead letters', command: 'holdfast dead list' })
  // Of a cause that is not counted to its end, the rest is not among the others.
  const capped = deadCauses.map((cause, at) => ({ ...cause, isCapped: at === 0 }))
  expect(problemsOf({ ...well, counts: dead, deadCauses: capped }).map(({ summary }) => summary)).toEqual([
    'more than 9 dead letters',
    ...[8, 7, 6, 5].map((count) => `${count} dead letters`),
    '4 other dead letters',
  ])
})

test('problems are told worst first, and of one kind the largest first', () => {
  const told = problemsOf({
    ...well,
    lastReload: { ok: false, succeededAtMs: 0, refused: { faults: ['PORT is x'], sinceMs: 5 } },
    quarantined: new Map([
      ['a', 1],
      ['b', 3],
    ]),
    storeFaults: ['disk full'],
  })
  expect(told.map(({ problem, source }) => [problem, source])).toEqual([
    ['store_failing', undefined],
    ['events_quarantined', 'b'],
    ['events_quarantined', 'a'],
    ['reload_failed', undefined],
  ])
})

test('each kind of problem has a name of its own', () => {
  expect(new Set(PROBLEMS).size).toBe(PROBLEMS.length)
})

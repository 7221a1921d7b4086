import { expect, test } from 'vitest'
import { DELIVERY_STATES } from '../../src/domain/delivery.ts'
import { startOps } from './ops-service.ts'

test('GET /v1/status tells the figures and that the service is well', async () => {
  const service = await startOps()
  const answer = await service.get('/v1/status')
  expect(answer.status).toBe(200)
  const status = (await answer.json()) as Record<string, unknown>
  expect(status).toMatchObject({
    well: true,
    problems: [],
    role: 'all',
    store: { kind: 'sqlite', ready: true },
    tasks: { pending: 0 },
    recent: { minutes: 5, received: 0 },
    sources: 2,
    handlers: 1,
    workers: null,
  })
  expect(Object.keys(status.deliveries as object)).toEqual([...DELIVERY_STATES])
})

test('GET /v1/status gives each problem with all of its fields, and null for what is not known', async () => {
  const service = await startOps({
    status: async () => ({
      atMs: Date.parse('2026-11-03T04:00:00Z'),
      startedAtMs: Date.parse('2026-11-03T03:00:00Z'),
      role: 'worker',
      problems: [
        { problem: 'store_failing', severity: 'critical', summary: 'events cannot be stored', count: 1, cause: 'full' },
        {
          problem: 'source_silent',
          severity: 'warning',
          summary: 's',
          count: 1,
          sinceMs: 0,
          lastMs: 1_000,
          source: 'ai',
          command: 'c',
        },
      ],
      store: { kind: 'postgres', faults: ['full'], bytes: 5, freeBytes: undefined },
      counts: undefined,
      recent: undefined,
      lastEventAtMs: undefined,
      sources: 1,
      handlers: 0,
      workers: 2,
    }),
  })
  const none = { since: null, last_at: null, cause: null, source: null, handler: null, command: null }
  expect(await (await service.get('/v1/status')).json()).toMatchObject({
    at: '2026-11-03T04:00:00.000Z',
    uptime_seconds: 3_600,
    well: false,
    problems: [
      { ...none, problem: 'store_failing', severity: 'critical', count: 1, cause: 'full' },
      {
        ...none,
        problem: 'source_silent',
        since: '1970-01-01T00:00:00.000Z',
        last_at: '1970-01-01T00:00:01.000Z',
        source: 'ai',
        command: 'c',
      },
    ],
    store: { kind: 'postgres', ready: false, bytes: 5, free_bytes: null },
    deliveries: null,
    tasks: null,
    recent: null,
    last_event_at: null,
    workers: 2,
  })
})

import { expect, test } from 'vitest'
import type { AuditEntry } from '../../src/domain/audit.ts'
import type { RetentionService } from '../../src/domain/retention.ts'
import { detailOf, startOps } from './ops-service.ts'

const resumed = (clock: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ clock }),
})

test('GET /v1/retention says whether retention is held, how long events are kept and that none is old', async () => {
  const { get } = await startOps()
  const answer = await get('/v1/retention')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toEqual({
    held: false,
    clock: expect.stringMatching(/Z$/),
    last_known: expect.stringMatching(/Z$/),
    steady_hours: null,
    retention_days: 30,
    retention_dead_days: 60,
    old: { days: [], more: false },
  })
})

test('POST /v1/retention/resume gets 409 where retention is not held, and 400 where it names no time', async () => {
  const { get } = await startOps()
  const refused = await get('/v1/retention/resume', resumed(new Date().toISOString()))
  expect(await detailOf(refused, 409)).toBe('retention is not held: the clock is trusted')
  for (const clock of [undefined, '', 'now', 7, '2026-11-26T10:59:60Z'])
    expect((await get('/v1/retention/resume', resumed(clock))).status).toBe(400)
})

test('POST /v1/retention/resume has retention go on, and is recorded with the clock that was confirmed', async () => {
  const clock = '2027-01-02T10:00:00.000Z'
  const clockMs = Date.parse(clock)
  const state = { isHeld: false, clockMs, trustedAtMs: clockMs, steadyHours: undefined }
  const confirmed: number[] = []
  const retention: RetentionService = {
    periods: () => ({ retentionDays: 30, deadRetentionDays: 30 }),
    report: () => Promise.reject(new Error('not asked for')),
    resume: async (confirmedMs) => {
      confirmed.push(confirmedMs)
      return state
    },
    warnings: () => ['it is held'],
  }
  const recorded: AuditEntry[] = []
  const audit = { record: async (entry: AuditEntry) => void recorded.push(entry) }
  const { get } = await startOps({ audit, retention })
  const answer = await get('/v1/retention/resume', resumed('2027-01-02T11:00:00+01:00'))
  expect([answer.status, await answer.json()]).toEqual([
    200,
    { held: false, clock, last_known: clock, steady_hours: null },
  ])
  expect(confirmed).toEqual([Date.parse(clock)])
  expect(recorded).toMatchObject([{ action: 'retention.resume', target: `clock ${clock}`, outcome: 'done' }])
  expect(await (await get('/readyz')).json()).toEqual({ status: 'ready', warnings: ['it is held'] })
})

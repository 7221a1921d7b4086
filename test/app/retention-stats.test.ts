import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { Retention } from '../../src/app/retention.ts'
import type { StatRow, StatSpan } from '../../src/domain/stat-store.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent, START_MS } from '../contract/store-samples.ts'
import { ownPath } from '../storage/database-file.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

test('numbers over time are deleted after their own times, also where events stay for ever, and not while the clock is doubted', async () => {
  const at = { wallMs: START_MS, monotonicMs: 0 }
  const store = await openStore(`file:${ownPath()}`, { clock: () => at.wallMs })
  onTestFinished(() => store.close())
  const retention = new Retention({
    store,
    retentionDays: 0,
    deadRetentionDays: 0,
    waits: () => ({ retryMs: 1, retryAfterMs: 1, pollMs: 1, leaseMs: 1 }),
    onRepaired: () => {},
    log: pino({ level: 'silent' }),
    monotonicMs: () => at.monotonicMs,
  })
  const row = (span: StatSpan, days: number): StatRow => ({
    span,
    atMs: at.wallMs - days * DAY_MS,
    source: 'ai',
    writer: 'one',
    numbers: '{}',
  })
  const rows = (span: StatSpan) => store.statRows({ span, sinceMs: 0, untilMs: at.wallMs + HOUR_MS, limit: 100 })
  const given = [row('minute', 3), row('minute', 1), row('hour', 91), row('hour', 89)]
  await Promise.all([store.recordStats(given), store.append(newEvent())])
  await retention.pass()
  expect([...(await rows('minute')), ...(await rows('hour'))]).toEqual([given[1], given[3]])
  at.monotonicMs += HOUR_MS
  at.wallMs += 400 * DAY_MS
  await retention.pass()
  expect(await rows('hour')).toHaveLength(1)
})

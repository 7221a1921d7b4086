import { Writable } from 'node:stream'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ExpectEvery } from '../../src/domain/source-health.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { SourceMonitor } from '../../src/monitoring/source-monitor.ts'
import { StatsRecorder } from '../../src/monitoring/stats-recorder.ts'
import { newEvent } from '../contract/store-samples.ts'
import { emptyPostgresStores } from '../storage/empty-store.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.UTC(2026, 10, 2)

describe.each([
  ['the embedded store', openEmptyStore],
  ['PostgreSQL', emptyPostgresStores()],
])('with %s, the monitor', (_, open) => {
  let nowMs = START_MS
  let store: OpenStore
  const lines: Record<string, unknown>[] = []
  const log = pino(
    {},
    new Writable({ write: (line, _encoding, done) => done(void lines.push(JSON.parse(String(line)))) }),
  )
  const said = (text: string) => lines.filter(({ msg }) => String(msg).includes(text))

  beforeEach(async () => {
    nowMs = START_MS
    lines.length = 0
    store = await open(() => nowMs)
  })
  afterEach(() => store.close())

  /** One process. */
  function replica(expectEvery: ExpectEvery = 'learned') {
    const clock = () => nowMs
    const recorder = new StatsRecorder({ store, clock, receives: true, sources: () => new Set(['ai']) })
    const monitor = new SourceMonitor({ store, recorder, clock, log, sources: () => [{ name: 'ai', expectEvery }] })
    return {
      recorder,
      health: () => monitor.healthOf('ai'),
      pass: () => monitor.pass(),
      /** An append takes along what waits for a commit. */
      flush: () => Promise.all([recorder.flush(), store.append(newEvent())]),
      accept: () => {
        recorder.request('ai', 'accepted')
        recorder.acknowledged('ai', 0.001)
      },
    }
  }
  type Replica = ReturnType<typeof replica>

  /** A webhook every ten minutes, for some days; written once an hour. */
  async function live(at: Replica, days: number): Promise<void> {
    for (const endMs = nowMs + days * DAY_MS; nowMs < endMs; ) {
      for (let minute = 0; minute < 60; minute++, nowMs += MINUTE_MS) {
        at.recorder.present()
        if (minute % 10 === 0) at.accept()
      }
      nowMs -= 1
      await at.flush()
      nowMs += 1
    }
  }

  test('learns a rhythm from what is stored, finds a silence, tells of it once, and of its end', async () => {
    await live(replica(), 3)
    const [one, two] = [replica(), replica()]
    const lastMs = nowMs - 10 * MINUTE_MS
    const minutes = async (n: number) => {
      for (let passed = 0; passed < n; passed++, nowMs += MINUTE_MS)
        for (const each of [one, two]) each.recorder.present()
      for (const each of [one, two]) await each.flush()
      await Promise.all([one, two].map((each) => each.pass()))
    }
    await minutes(3)
    expect(one.health()).toMatchObject({ usualGapMs: 600_000, silentSinceMs: undefined, lastWebhookAtMs: lastMs })
    await minutes(20)
    for (const each of [one, two]) expect(each.health().silentSinceMs).toBe(lastMs)
    expect(said('no webhook of this source')).toEqual([
      expect.objectContaining({
        level: 40,
        source: 'ai',
        silent_since: new Date(lastMs).toISOString(),
        usual_gap_seconds: 600,
      }),
    ])
    const restarted = replica()
    await restarted.pass()
    expect(restarted.health().silentSinceMs).toBe(lastMs)
    expect(said('no webhook of this source')).toHaveLength(1)
    two.accept()
    await minutes(1)
    for (const each of [one, two]) expect(each.health().silentSinceMs).toBeUndefined()
    expect(said('come again')).toHaveLength(1)
  })

  test('does not count the time in which no process ran', async () => {
    await live(replica(), 3)
    nowMs += 12 * HOUR_MS
    const again = replica()
    await again.pass()
    expect(again.health().silentSinceMs).toBeUndefined()
    expect(lines).toEqual([])
  })

  test('holds a source to the time that is expected, also if nothing has ever come, and never one that is off', async () => {
    const [strict, lax] = [replica(HOUR_MS), replica('off')]
    for (const end = nowMs + 90 * MINUTE_MS; nowMs < end; nowMs += MINUTE_MS) strict.recorder.present()
    await strict.flush()
    await lax.pass()
    expect(lax.health().silentSinceMs).toBeUndefined()
    await strict.pass()
    expect(strict.health().silentSinceMs).toBe(START_MS)
    expect(said('no webhook of this source')[0]).toMatchObject({ expected_every_seconds: 3600 })
    const again = replica()
    await again.pass()
    expect(again.health().silentSinceMs).toBe(START_MS)
    strict.accept()
    await strict.pass()
    expect(strict.health()).toMatchObject({ silentSinceMs: undefined, lastWebhookAtMs: nowMs })
  })

  test('finds a source whose requests are refused at another replica, tells of it once with the reason, and of its end', async () => {
    const [one, two] = [replica(), replica()]
    one.accept()
    await one.flush()
    nowMs += MINUTE_MS
    for (let n = 0; n < 6; n++) {
      for (const each of [one, two]) each.recorder.request('ai', 'signature_mismatch')
    }
    two.recorder.request('ai', 'signature_missing')
    await one.flush()
    await two.flush()
    const sinceMs = nowMs - (nowMs % MINUTE_MS)
    await Promise.all([one, two].map((each) => each.pass()))
    for (const each of [one, two])
      expect(each.health()).toMatchObject({ refusingSinceMs: sinceMs, refusingReason: 'signature_mismatch' })
    expect(said('are refused')).toEqual([
      expect.objectContaining({ level: 40, source: 'ai', reason: 'signature_mismatch' }),
    ])
    nowMs += 20 * MINUTE_MS
    await one.pass()
    expect(one.health().refusingSinceMs).toBe(sinceMs)
    two.accept()
    await two.flush()
    await Promise.all([one, two].map((each) => each.pass()))
    for (const each of [one, two]) expect(each.health().refusingSinceMs).toBeUndefined()
    expect(said('accepted again')).toHaveLength(1)
  })

  test('forgets the episodes of a source that is not configured any more', async () => {
    await store.beginEpisode({ kind: 'silent', source: 'gone', sinceMs: START_MS })
    await replica().pass()
    expect(await store.episodes()).toEqual([])
    expect(lines).toEqual([])
  })
})

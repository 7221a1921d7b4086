import { describe, expect, test } from 'vitest'
import { type ClockRecord, firstRecord, judgeClock } from '../../src/domain/clock.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.parse('2026-11-23T10:00:00Z')

const trustedAt = (nowMs: number): ClockRecord => ({ knownAtMs: nowMs, lookedAtMs: nowMs, steadyMs: undefined })
const look = (record: ClockRecord, nowMs: number, ranMs = 0) =>
  judgeClock(record, nowMs, { ranMs, toleranceMs: DAY_MS })
/** Looks once an hour for so long. */
function runOn(record: ClockRecord, hours: number): ClockRecord {
  let current = record
  for (let n = 0; n < hours; n++) current = look(current, current.lookedAtMs + HOUR_MS, HOUR_MS)
  return current
}

describe('a clock that was trusted', () => {
  test.each([
    ['a restart within the tolerance', 23 * HOUR_MS, 0],
    ['a step back within the tolerance', -23 * HOUR_MS, 0],
    ['days in which the process ran on', 5 * DAY_MS, 5 * DAY_MS],
    ['days in which the process ran on, and the tolerance', 6 * DAY_MS, 5 * DAY_MS],
  ])('is trusted after %s', (_, jumpMs, ranMs) => {
    expect(look(trustedAt(START_MS), START_MS + jumpMs, ranMs)).toEqual(trustedAt(START_MS + jumpMs))
  })

  test.each([
    ['a jump ahead', 40 * DAY_MS, 0],
    ['a jump back', -40 * DAY_MS, 0],
    ['more time than the process ran', 7 * DAY_MS, 5 * DAY_MS],
  ])('is doubted after %s, and the last trusted time stays known', (_, jumpMs, ranMs) => {
    const record = look(trustedAt(START_MS), START_MS + jumpMs, ranMs)
    expect(record).toEqual({ knownAtMs: START_MS, lookedAtMs: START_MS + jumpMs, steadyMs: 0 })
  })
})

describe('a clock that is doubted', () => {
  const doubted = look(trustedAt(START_MS), START_MS + 40 * DAY_MS)

  test('is trusted once it has run on steadily for a day, and not before', () => {
    expect(runOn(doubted, 23)).toMatchObject({ knownAtMs: START_MS, steadyMs: 23 * HOUR_MS })
    expect(runOn(doubted, 24)).toEqual(trustedAt(START_MS + 41 * DAY_MS))
  })

  test('is trusted at once when it returns to a time that the elapsed time explains', () => {
    const waited = runOn(doubted, 20)
    expect(look(waited, START_MS + 20 * HOUR_MS, HOUR_MS)).toEqual(trustedAt(START_MS + 20 * HOUR_MS))
  })

  test('starts its day of steady running again when it jumps once more, ahead or back', () => {
    const waited = runOn(doubted, 20)
    for (const jumpMs of [3 * DAY_MS, -3 * DAY_MS])
      expect(look(waited, waited.lookedAtMs + jumpMs, HOUR_MS)).toMatchObject({ knownAtMs: START_MS, steadyMs: 0 })
  })

  test('keeps its steady time where it is adjusted by moments between two consecutive looks', () => {
    const waited = runOn(doubted, 20)
    expect(look(waited, waited.lookedAtMs - 40, 10)).toMatchObject({ steadyMs: 20 * HOUR_MS - 40 })
  })

  test('keeps its steady time over a restart, which itself counts for nothing', () => {
    const waited = runOn(doubted, 20)
    expect(look(waited, waited.lookedAtMs + 2 * HOUR_MS)).toMatchObject({ steadyMs: 20 * HOUR_MS })
  })

  test('is trusted where retention is short and the service is off every night, once its steady hours add up to a day', () => {
    const tolerance = { toleranceMs: 2 * HOUR_MS }
    let record = judgeClock(trustedAt(START_MS), START_MS + 10 * HOUR_MS, { ranMs: 0, ...tolerance })
    expect(record.steadyMs).toBe(0)
    const runDay = (): void => {
      for (let n = 0; n < 14; n++)
        record = judgeClock(record, record.lookedAtMs + HOUR_MS, { ranMs: HOUR_MS, ...tolerance })
    }
    runDay()
    record = judgeClock(record, record.lookedAtMs + 10 * HOUR_MS, { ranMs: 0, ...tolerance })
    expect(record.steadyMs).toBe(14 * HOUR_MS)
    runDay()
    expect(record.steadyMs).toBeUndefined()
  })

  test('is not trusted sooner when several processes look', () => {
    let record = doubted
    for (let n = 0; n < 4 * 23; n++) record = look(record, record.lookedAtMs + HOUR_MS / 4, HOUR_MS)
    expect(record.steadyMs).toBe(23 * HOUR_MS)
  })
})

describe('an operator’s confirmation of a clock', () => {
  const confirm = (record: ClockRecord, nowMs: number, confirmedMs = nowMs) =>
    judgeClock(record, nowMs, { ranMs: 0, toleranceMs: DAY_MS, confirmedMs })
  const aheadMs = START_MS + 40 * DAY_MS

  test('has the clock trusted at once, though it was not looked at since it jumped', () => {
    expect(confirm(trustedAt(START_MS), aheadMs)).toEqual(trustedAt(aheadMs))
    expect(confirm(look(trustedAt(START_MS), aheadMs), aheadMs + HOUR_MS, aheadMs)).toEqual(
      trustedAt(aheadMs + HOUR_MS),
    )
  })

  test.each([
    ['is trusted', START_MS + HOUR_MS, START_MS + HOUR_MS, 'retention is not held: the clock is trusted'],
    ['has jumped again', aheadMs + 2 * DAY_MS, aheadMs, 'the clock says 2027-01-04T10:00:00.000Z, not 2027-01-02'],
    ['says a time before this release', 0, 0, 'the clock says 1970-01-01T00:00:00.000Z, before this release was made'],
  ])('is refused where the clock %s', (_, nowMs, confirmedMs, reason) => {
    expect(() => confirm(trustedAt(START_MS), nowMs, confirmedMs)).toThrow(
      expect.objectContaining({ code: 'conflict', message: expect.stringContaining(reason) }),
    )
  })
})

test('a clock that begins in 1970 is never trusted, however long it runs', () => {
  const record = runOn(look(firstRecord(0, undefined), 0), 100)
  expect(record.steadyMs).toBeGreaterThan(DAY_MS)
  expect(look(record, START_MS)).toMatchObject({ knownAtMs: 0, steadyMs: 0 })
})

test('for a clock that was never looked at, the newest event gives the last known time', () => {
  expect(look(firstRecord(START_MS, START_MS - HOUR_MS), START_MS)).toEqual(trustedAt(START_MS))
  expect(look(firstRecord(START_MS, START_MS - 2 * DAY_MS), START_MS)).toMatchObject({ steadyMs: 0 })
})

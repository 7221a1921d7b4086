import { expect, test } from 'vitest'
import {
  judgeRefusals,
  type RecentRequests,
  type Requests,
  type SignatureReason,
} from '../../src/monitoring/refusals.ts'

const NOW = 30_000_000

/** What came in a minute, this many minutes ago. */
const ago = (minutes: number, good: number, refused: Partial<Record<SignatureReason, number>> = {}): Requests => ({
  minute: NOW - minutes,
  good,
  refused: new Map(Object.entries(refused) as [SignatureReason, number][]),
})

const judge = (minutes: readonly Requests[], more: Partial<RecentRequests> = {}) =>
  judgeRefusals({
    minutes,
    hours: [],
    nowMinute: NOW,
    lastGoodMinute: minutes.findLast(({ good }) => good > 0)?.minute,
    usualGap: 1,
    ...more,
  })

test('a busy source whose secret was changed is refused within a minute or two', () => {
  const before = [ago(3, 60), ago(2, 30, { signature_mismatch: 30 })]
  expect(judge(before)).toBeUndefined()
  expect(judge([...before, ago(1, 0, { signature_mismatch: 60 })])).toEqual({
    sinceMinute: NOW - 1,
    reason: 'signature_mismatch',
  })
})

test('a source with a request each minute is refused once good ones are overdue', () => {
  const minutes = [ago(5, 1), ...[4, 3, 2, 1].map((n) => ago(n, 0, { signature_mismatch: 1 }))]
  expect(judge(minutes.slice(0, 4), { nowMinute: NOW - 2 })).toBeUndefined()
  expect(judge(minutes)).toEqual({ sinceMinute: NOW - 4, reason: 'signature_mismatch' })
})

test('the bad requests of a scanner are no refusal of a source whose good ones come', () => {
  expect(judge([ago(2, 4), ago(1, 3, { signature_missing: 5 }), ago(0, 2)])).toBeUndefined()
  expect(judge([ago(2, 4), ago(1, 3, { signature_mismatch: 5 }), ago(0, 2)])).toBeUndefined()
  expect(judge([ago(1, 900, { signature_mismatch: 600 })])).toBeUndefined()
})

test('the bad requests of a scanner are no refusal of a quiet source', () => {
  const quiet = { lastGoodMinute: NOW - 60, usualGap: 120 }
  expect(judge([ago(1, 0, { signature_mismatch: 5 })], quiet)).toBeUndefined()
  expect(judge([ago(1, 0, { signature_missing: 19 })], quiet)).toBeUndefined()
  expect(judge([ago(1, 0, { signature_missing: 49, signature_malformed: 1 })], quiet)).toMatchObject({
    reason: 'signature_missing',
  })
})

test('a quiet source whose provider tries again and again is refused, in the hours after the last good request', () => {
  const quiet = { lastGoodMinute: NOW - 200, usualGap: 120 }
  const hour = (hours: number, n: number) => ago(hours * 60, 0, { signature_mismatch: n })
  expect(judge([], { ...quiet, hours: [hour(4, 9), hour(2, 2)] })).toBeUndefined()
  expect(judge([], { ...quiet, hours: [hour(2, 5)] })).toBeUndefined()
  expect(judge([], { ...quiet, hours: [hour(3, 2), hour(1, 1)] })).toEqual({
    sinceMinute: NOW - 180,
    reason: 'signature_mismatch',
  })
})

test('a new source that was set up with a wrong secret is refused at its third request', () => {
  const fresh = { lastGoodMinute: undefined, usualGap: undefined }
  expect(judge([ago(1, 0, { signature_mismatch: 2 })], fresh)).toBeUndefined()
  expect(judge([ago(1, 0, { signature_mismatch: 1, timestamp_stale: 2 })], fresh)).toEqual({
    sinceMinute: NOW - 1,
    reason: 'timestamp_stale',
  })
})

test('a source of which nearly all is refused is refused, although something is accepted', () => {
  expect(judge([ago(1, 1, { timestamp_stale: 30 })])).toMatchObject({ reason: 'timestamp_stale' })
  expect(judge([ago(1, 2, { timestamp_stale: 30 })])).toBeUndefined()
})

import { expect, test } from 'vitest'
import type { Attempt, AttemptOutcome, DeliveryState } from '../../src/domain/delivery.ts'
import type { EventDetail } from '../../src/domain/event-store.ts'
import { judgeProbe } from '../../src/replays/probe.ts'

const attempt = (outcome: AttemptOutcome, replay?: string, error?: string): Attempt => ({
  number: 1,
  outcome,
  ...(replay !== undefined && { replay }),
  ...(error !== undefined && { error }),
  startedAtMs: 0,
  durationMs: 0,
})
const eventWith = (deliveries: readonly { handler: string; state: DeliveryState; history: readonly Attempt[] }[]) =>
  ({ deliveries }) as unknown as EventDetail
const probe = { state: 'running', uid: 'u', handlers: ['a', 'b'] } as const
const judge = (deliveries: Parameters<typeof eventWith>[0]) => judgeProbe(probe, eventWith(deliveries), 'job')

test('a probe succeeds when the first attempt of each of its handlers has succeeded', () => {
  const a = { handler: 'a', state: 'succeeded', history: [attempt('failed'), attempt('succeeded', 'job')] } as const
  const b = { handler: 'b', state: 'pending', history: [attempt('failed', 'other')] } as const
  expect(judge([a, b])).toEqual({ kind: 'wait' })
  expect(judge([a, { ...b, state: 'succeeded', history: [attempt('succeeded', 'job')] }])).toEqual({
    kind: 'ended',
    probe: { ...probe, state: 'succeeded', outcome: 'succeeded' },
  })
})

test('a probe fails at the first attempt that fails, although it will be tried again, and tells the error', () => {
  const failed = { handler: 'a', state: 'pending', history: [attempt('failed', 'job', 'no')] } as const
  expect(judge([failed, { handler: 'b', state: 'running', history: [] }])).toEqual({
    kind: 'ended',
    probe: { ...probe, state: 'failed', outcome: 'failed', error: 'no' },
  })
})

test('a probe waits for another attempt after one that was released, or lost with its service', () => {
  const history = [attempt('released', 'job'), attempt('lease_lost', 'job')]
  expect(judge([{ handler: 'a', state: 'pending', history }])).toEqual({ kind: 'wait' })
})

test('another event is tried if nothing of the first one ran for the job, or it is gone', () => {
  expect(judge([{ handler: 'a', state: 'succeeded', history: [attempt('succeeded')] }])).toEqual({ kind: 'next' })
  expect(judge([{ handler: 'other', state: 'pending', history: [] }])).toEqual({ kind: 'next' })
  expect(judgeProbe(probe, undefined, 'job')).toEqual({ kind: 'next' })
})

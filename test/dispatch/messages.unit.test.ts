import { describe, expect, test } from 'vitest'
import { isFromProcess } from '../../src/dispatch/ipc/messages.ts'

const result = { outcome: 'failed', error: 'no', startedAtMs: 1, durationMs: 2 }
const results = (...entries: unknown[]) => ({ kind: 'results', results: entries, refused: [], overdue: 0 })
const detail = { name: 'Error', message: 'no', code: 'E', stack: ['at a'], cause: { name: 'Error', message: 'why' } }

describe('what comes out of a handler process', () => {
  test.each([
    ['a result', results({ key: 0, result })],
    ['a result with all there is to an error', results({ key: 0, result: { ...result, detail } })],
    ['a wish to run later', results({ key: 1, result: { ...result, outcome: 'retry_after', afterMs: 5 } })],
    [
      'why its event is quarantined',
      results({ key: 1, result: { ...result, outcome: 'rejected', quarantine: ['no'] } }),
    ],
    ['nothing but places that are free', results()],
    ['an answer', { kind: 'pong' }],
  ])('is believed when it is %s', (_, message) => {
    expect(isFromProcess(message)).toBe(true)
  })

  const nested = (depth: number): object => ({
    name: 'Error',
    message: '',
    ...(depth > 0 && { cause: nested(depth - 1) }),
  })
  test.each([
    ['no object', 'results'],
    ['of no kind', { kind: 'shutdown' }],
    ['without its list', { kind: 'results', results: {}, refused: [], overdue: 0 }],
    ['of a negative number of places', { ...results(), overdue: -1 }],
    ["of an outcome that is the service's", results({ key: 0, result: { ...result, outcome: 'process_lost' } })],
    ['of a time that is none', results({ key: 0, result: { ...result, startedAtMs: 1e17 } })],
    ['of a wait before all time', results({ key: 0, result: { ...result, afterMs: -1e300 } })],
    ['of an error without words', results({ key: 0, result: { ...result, detail: {} } })],
    ['of parts that are no list', results({ key: 0, result: { ...result, detail: { ...detail, errors: 'x' } } })],
    ['of causes without end', results({ key: 0, result: { ...result, detail: nested(100) } })],
    ['of reasons that are no texts', results({ key: 0, result: { ...result, quarantine: [1] } })],
    ['of an endless text', results({ key: 0, result: { ...result, error: 'x'.repeat(100_000) } })],
  ])('is not when it is a message %s', (_, message) => {
    expect(isFromProcess(message)).toBe(false)
  })
})

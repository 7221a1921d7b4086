import { describe, expect, test } from 'vitest'
import { isFromProcess } from '../../src/dispatch/ipc/messages.ts'

const result = { outcome: 'failed', error: 'no', startedAtMs: 1, durationMs: 2 }
const results = (...entries: unknown[]) => ({ kind: 'results', results: entries, refused: [], overdue: 0 })
const answer = { from: 'http://orders.internal', status: 202, durationMs: 0.5, text: 'ok' }
const detail = { name: 'Error', message: 'no', code: 'E', stack: ['at a'], cause: { name: 'Error', message: 'why' } }

describe('a message from a handler process', () => {
  test.each([
    ['a result', results({ key: 0, result })],
    ['a result with a whole error detail', results({ key: 0, result: { ...result, detail } })],
    ['a retryAfter', results({ key: 1, result: { ...result, outcome: 'retry_after', afterMs: 5 } })],
    [
      'a result with the reasons why its event is quarantined',
      results({ key: 1, result: { ...result, outcome: 'rejected', quarantine: ['no'] } }),
    ],
    ['a result with the answer of a service', results({ key: 1, result: { ...result, answer } })],
    ['a list without results', results()],
    ['a pong', { kind: 'pong' }],
  ])('is accepted if it is %s', (_, message) => {
    expect(isFromProcess(message)).toBe(true)
  })

  const nested = (depth: number): object => ({
    name: 'Error',
    message: '',
    ...(depth > 0 && { cause: nested(depth - 1) }),
  })
  test.each([
    ['not an object', 'results'],
    ['of an unknown kind', { kind: 'shutdown' }],
    ['without its list', { kind: 'results', results: {}, refused: [], overdue: 0 }],
    ['of a negative number of overdue handlers', { ...results(), overdue: -1 }],
    [
      'of an outcome that only the service decides',
      results({ key: 0, result: { ...result, outcome: 'process_lost' } }),
    ],
    ['of a time that no Date can hold', results({ key: 0, result: { ...result, startedAtMs: 1e17 } })],
    ['of a negative wait', results({ key: 0, result: { ...result, afterMs: -1e300 } })],
    ['of an error detail without a message', results({ key: 0, result: { ...result, detail: {} } })],
    ['of errors that are no list', results({ key: 0, result: { ...result, detail: { ...detail, errors: 'x' } } })],
    ['of too many nested causes', results({ key: 0, result: { ...result, detail: nested(100) } })],
    ['of an answer without a status', results({ key: 0, result: { ...result, answer: { ...answer, status: '200' } } })],
    [
      'of an answer that is too long',
      results({ key: 0, result: { ...result, answer: { ...answer, text: 'x'.repeat(2_000) } } }),
    ],
    ['of reasons that are no strings', results({ key: 0, result: { ...result, quarantine: [1] } })],
    ['of a string that is too long', results({ key: 0, result: { ...result, error: 'x'.repeat(100_000) } })],
  ])('is refused if it is %s', (_, message) => {
    expect(isFromProcess(message)).toBe(false)
  })
})

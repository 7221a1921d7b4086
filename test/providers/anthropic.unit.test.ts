import { describe, expect, test } from 'vitest'
import { shipped, shippedTasks } from '../support/shipped.ts'

type Json = Record<string, unknown>
type Status = 'completed' | 'failed' | 'cancelled'

describe('an Anthropic batch', () => {
  const { poll, read, pushes } = shippedTasks('anthropic')
  const batch = (counts: unknown, processing_status = 'ended') => ({
    id: 'msgbatch_1',
    type: 'message_batch',
    processing_status,
    request_counts: counts,
    ended_at: '2026-01-01T00:00:00Z',
  })
  const none = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 }

  test('is polled by its id, since there is no webhook for it', () => {
    expect(poll('msgbatch_1')).toEqual({ method: 'GET', path: '/v1/messages/batches/msgbatch_1' })
    expect(pushes).toBe(false)
    expect(shipped('anthropic').ends).toBeUndefined()
  })

  test.each<[string, Json, Status]>([
    ['all succeeded', { succeeded: 3 }, 'completed'],
    ['some succeeded', { succeeded: 1, errored: 1, canceled: 1, expired: 1 }, 'completed'],
    ['were none', {}, 'completed'],
    ['all errored', { errored: 2 }, 'failed'],
    ['all expired', { expired: 2 }, 'failed'],
    ['some errored and the others were cancelled', { errored: 1, canceled: 5 }, 'failed'],
    ['all were cancelled', { canceled: 2 }, 'cancelled'],
  ])('whose requests %s, as counted by %j, is %s', (_what, counts, status) => {
    const answer = batch({ ...none, ...counts })
    const event = { type: 'message_batch.ended', data: answer, created_at: '2026-01-01T00:00:00Z' }
    expect(read(answer, 'msgbatch_1')).toEqual({ status, word: 'ended', event })
  })

  test.each(['in_progress', 'canceling'])('goes on while it is %s', (word) => {
    expect(read(batch(none, word), 'msgbatch_1')).toEqual({ status: 'pending', word })
  })

  test.each<[string, unknown]>([
    ['does not say how its requests ended', batch(undefined)],
    ['describes the end of its requests in words', batch('all fine')],
    ['has another id', { ...batch(none), id: 'msgbatch_2' }],
    ['has no status', { ...batch(none), processing_status: undefined }],
    ['is null', null],
  ])('that %s has no readable end', (_what, answer) => {
    expect(read(answer, 'msgbatch_1')).toBeUndefined()
  })

  test('whose counts are not numbers has no readable end', () => {
    const counts = { ...none, succeeded: { valueOf: 1, toString: 1 }, errored: 1 }
    expect(read(batch(counts), 'msgbatch_1')).toBeUndefined()
    expect(read(batch({ succeeded: '5', errored: 0, canceled: 0, expired: 0 }), 'msgbatch_1')).toBeUndefined()
    expect(read(batch({ succeeded: 5 }), 'msgbatch_1')).toBeUndefined()
  })
})

import type { SourceRegistration } from '../../src/domain/webhook-manager.ts'

/** What a store holds in a test of the wire format, as the ops API says it. */

export const ONE = '019c0000-0000-7000-8000-000000000001'
export const TWO = '019c0000-0000-7000-8000-000000000002'

export const first = {
  uid: ONE,
  source: 'ai',
  provider: 'ai',
  id: 'evt_1',
  type: 'completion.finished',
  created_at: '2026-01-01T00:00:00Z',
  created_at_source: 'provider',
  received_at: '2024-02-03T04:05:06.789Z',
  origin: 'webhook',
  status: 'accepted',
  outcome: 'dead',
  reasons: [],
  api_version: 'v1',
  task: 'batch_1',
  size_bytes: 30,
}
export const second = {
  uid: TWO,
  source: 'forms',
  provider: 'forms',
  id: 'evt_2',
  type: 'completion.finished',
  created_at: '2024-02-03T04:05:07.000Z',
  created_at_source: 'received',
  received_at: '2024-02-03T04:05:07.000Z',
  origin: 'poll',
  status: 'quarantined',
  outcome: 'none',
  reasons: ['data.a is missing', 'data.b is missing'],
  size_bytes: 30,
}
export const checksum = 'f4c77f5a0e46a26c52aabef671432670079150c678d47e340f547ee2bbdfc20f'
export const delivery = {
  event_uid: ONE,
  source: 'ai',
  type: 'completion.finished',
  handler: 'log',
  state: 'dead',
  attempts: 1,
  due_at: '<now>',
  last_error: 'Error: no',
}
export const thrown = {
  name: 'Error',
  message: 'no',
  code: 'E_NO',
  stack: ['at here'],
  cause: { name: 'AggregateError', message: 'two', errors: [{ name: 'Error', message: 'part' }] },
}
export const attempt = {
  number: 1,
  outcome: 'failed',
  error: 'Error: no',
  error_detail: thrown,
  started_at: '2025-01-01T00:00:00.500Z',
  duration_ms: 7,
}
export const task = {
  uid: '<uid>',
  source: 'ai',
  task_id: 'task_1',
  status: 'cancelled',
  provider_status: null,
  metadata: { order: [7] },
  created_at: '<now>',
  stale_at: '<now>',
  expires_at: '<now>',
  next_poll_at: null,
  polls: 0,
  last_error: null,
  ended_at: '<now>',
  resolved_by: null,
  event_uid: null,
}
export const sourceState = {
  last_event_at: '1970-01-01T00:00:00.000Z',
  recovered_last_hour: 2,
  breaker: 'open',
  outage: null,
  secrets: [{ place: 1, verified: 2, last_verified_at: null, since: '1970-01-01T00:00:00.000Z' }],
  usual_gap_seconds: 90,
  silent_since: null,
  refusing_since: '1970-01-01T00:00:00.000Z',
  refusing_reason: 'signature_mismatch',
  paused: null,
}
export const registration: SourceRegistration = {
  source: 'ai',
  id: 'we_1',
  url: 'https://hooks.example/v1/webhooks/ai',
  events: ['*'],
  active: true,
  ours: true,
}

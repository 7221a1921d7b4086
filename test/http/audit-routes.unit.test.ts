import pino from 'pino'
import { expect, test } from 'vitest'
import { createListener } from '../../src/http/listener.ts'
import { recordChanges } from '../../src/http/ops/audit.ts'

const listener = () => {
  const { app } = createListener({ log: pino({ level: 'silent' }), bodyLimitBytes: 1, onClientFault: () => {} })
  recordChanges(app, { record: async () => {} })
  return app
}

test.each(['POST', 'PUT', 'PATCH', 'DELETE'] as const)(
  'an ops listener with a route of %s that declares no audit action cannot be made',
  (method) => {
    expect(() => listener().route({ method, url: '/v1/things', handler: () => {} })).toThrow(
      `${method} /v1/things changes something: it needs config: { audit: '<noun>.<verb>' }`,
    )
  },
)

test('an audit action is a noun and a verb', () => {
  const route = (audit: string | false) =>
    listener().route({ method: 'GET', url: '/v1/things', config: { audit }, handler: () => {} })
  expect(() => route('Delete things')).toThrow('<noun>.<verb>')
  expect(() => route('thing.delete')).not.toThrow()
  expect(() => route(false)).not.toThrow()
})

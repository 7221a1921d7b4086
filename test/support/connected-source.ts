import type { ConnectedSource } from '../../src/domain/source.ts'

/** A source that takes every type and proves nothing, with no way to call its provider unless `call` is given. */
export const connectedSource = (
  given: Pick<ConnectedSource, 'name' | 'provider'> & Partial<ConnectedSource>,
): ConnectedSource => ({
  verify: () => ({ ok: false, reason: 'missing' }),
  precheck: () => undefined,
  types: ['*'],
  accepts: () => true,
  url: `http://127.0.0.1:9/v1/webhooks/${given.name}`,
  dedupe: 'id',
  redeliveryReplaysDead: false,
  keys: [],
  secretHeaders: [],
  call: undefined,
  secret: 'secret',
  variable: `SOURCE_${given.name.toUpperCase()}`,
  redact: (text) => text,
  ...given,
})

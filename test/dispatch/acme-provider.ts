import { defineProvider } from '../../src/providers/define-provider.ts'

/** A sender of our own, so that these tests depend on no shipped one. */
export default defineProvider({
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
  event: { type: 'body:type' },
})

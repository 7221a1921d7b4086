import { defineProvider } from 'holdfast'

/** A provider module as a user writes one. */
export default defineProvider({
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header: 'x-acme-token' } },
  event: { id: 'header:x-acme-id', type: 'body:kind', data: 'body:object' },
})

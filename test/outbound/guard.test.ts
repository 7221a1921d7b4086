import type { LookupFunction } from 'node:net'
import { describe, expect, test } from 'vitest'
import { callerOf, startServer } from './loopback-server.ts'

/** Gives these addresses, a list for each lookup in turn and the last one from then on. */
function lookupOf(...answers: readonly (readonly string[])[]): LookupFunction & { readonly names: string[] } {
  const names: string[] = []
  const lookup: LookupFunction = (name, _, callback) => {
    const addresses = answers[Math.min(names.length, answers.length - 1)] ?? []
    names.push(name)
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
  return Object.assign(lookup, { names })
}

const request = { method: 'GET', path: '/tasks/1' } as const

describe('the host name of an outbound call', () => {
  test.each(['127.0.0.1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '10.0.0.1', '169.254.169.254', '::1', '0.0.0.0'])(
    'that is public and leads to %s is refused, and nothing connects',
    async (address) => {
      const server = await startServer()
      const lookup = lookupOf([address])
      const { call } = callerOf(`http://api.example.com:${server.port}`, { lookup })
      expect(await call(request)).toMatchObject({ ok: false, failure: 'forbidden_address' })
      expect(lookup.names).toEqual(['api.example.com'])
      expect(server.connections()).toBe(0)
    },
  )

  test('that is in a provider module and not configured counts as public, even localhost', async () => {
    const server = await startServer()
    const { call } = callerOf(`http://localhost:${server.port}`, { baseIsConfigured: false })
    expect(await call(request)).toMatchObject({ ok: false, failure: 'forbidden_address' })
    expect(server.connections()).toBe(0)
  })

  test('of a private network is looked up for each connection, and each answer is checked', async () => {
    const server = await startServer((_, response) => response.setHeader('connection', 'close').end('{}'))
    const lookup = lookupOf(['127.0.0.1'], ['169.254.169.254'])
    const { call } = callerOf(`http://llm.internal:${server.port}`, { lookup })
    expect(await call(request)).toMatchObject({ ok: true, status: 200 })
    expect(await call(request)).toMatchObject({ ok: false, failure: 'forbidden_address' })
    expect(server.connections()).toBe(1)
  })

  test('with several addresses is reached at those that are allowed', async () => {
    const server = await startServer()
    const lookup = lookupOf(['169.254.169.254', 'fe80::1', '127.0.0.1'])
    const { call } = callerOf(`http://box.local:${server.port}`, { lookup })
    expect(await call(request)).toMatchObject({ ok: true, status: 200 })
  })

  test('that does not exist is unreachable', async () => {
    const lookup: LookupFunction = (_, __, callback) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND api.example.com'), { code: 'ENOTFOUND' }), [])
    const { call } = callerOf('http://api.example.com', { lookup })
    const message = 'No address of api.example.com was found (ENOTFOUND).'
    expect(await call(request)).toEqual({ ok: false, failure: 'unreachable', message })
  })
})

describe('an address in the URL of an outbound call', () => {
  const spellings = ['127.0.0.1', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '[::ffff:127.0.0.1]', '[::1]', '[::]']

  test.each([...spellings, '0.0.0.0', '[64:ff9b::7f00:1]', '[fe80::1]', '169.254.169.254', '10.0.0.1'])(
    'such as %s is refused where it is not configured',
    async (host) => {
      const server = await startServer()
      const { call } = callerOf(`http://${host}:${server.port}`, { baseIsConfigured: false })
      expect(await call(request)).toMatchObject({ ok: false, failure: 'forbidden_address' })
      expect(server.connections()).toBe(0)
    },
  )

  test.each(['127.0.0.1', '2130706433', '0x7f.1', '127.1', '[::ffff:127.0.0.1]', 'localhost'])(
    'such as %s is called where it is configured',
    async (host) => {
      const server = await startServer()
      const { call } = callerOf(`http://${host}:${server.port}`)
      expect(await call(request)).toMatchObject({ ok: true, status: 200 })
    },
  )

  test('that is unspecified or reserved is refused even where it is configured', async () => {
    for (const host of ['0.0.0.0', '[::]', '255.255.255.255'])
      expect(await callerOf(`http://${host}:1`).call(request)).toMatchObject({ failure: 'forbidden_address' })
  })
})

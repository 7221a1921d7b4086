import type { lookup as getaddrinfo } from 'node:dns'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { callerOf, startServer } from './loopback-server.ts'
import type { OddAnswer, Zone } from './name-server.ts'
import { startLookup, system } from './resolver.ts'

const SERVFAIL = 2
const REFUSED = 5
const HOST = 'api.example.com'

afterEach(() => void vi.restoreAllMocks())

/** From now on the clock is so much ahead. */
function passSeconds(seconds: number): void {
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => now() + seconds * 1_000)
}

describe('a host name whose name server', () => {
  test.each<[what: string, answer: OddAnswer | 'silent' | undefined, code: string]>([
    ['fails', { rcode: SERVFAIL }, 'ESERVFAIL'],
    ['refuses', { rcode: REFUSED }, 'EREFUSED'],
    ['answers with garbage', { isGarbage: true }, 'EBADRESP'],
    ['never answers', 'silent', 'ETIMEOUT'],
    ['cuts its answer off, over TCP as well', { isCutOff: true }, 'ENOTFOUND'],
    ['knows no addresses', {}, 'ENOTFOUND'],
    ['knows no such name', undefined, 'ENOTFOUND'],
    ['answers with a circle of aliases', { aliasOf: HOST }, 'ENOTFOUND'],
  ])(
    '%s is not found, the error names host and cause, and the next call asks again at once',
    async (_, answer, code) => {
      let isBroken = true
      const server = await startServer()
      const { lookup } = await startLookup(() => (isBroken ? answer : ['127.0.0.1']))
      const { call } = callerOf(`http://${HOST}:${server.port}`, { lookup })
      expect(await call({ method: 'GET', path: '/' })).toEqual({
        ok: false,
        failure: 'unreachable',
        message: `No address of ${HOST} was found (${code}).`,
      })
      isBroken = false
      expect(await call({ method: 'GET', path: '/' })).toEqual({
        ok: false,
        failure: 'forbidden_address',
        message: `${HOST} leads to an address that is not on the public internet.`,
      })
    },
  )

  test('fails is looked up in the system only where it is a private name', async () => {
    const own = system({ 'printer.local': '10.0.0.7' })
    const { addresses } = await startLookup(() => ({ rcode: SERVFAIL }), { system: own })
    await expect(addresses(HOST)).rejects.toMatchObject({ code: 'ESERVFAIL' })
    expect(await addresses('printer.local')).toEqual(['10.0.0.7'])
    await expect(addresses('nobody.local')).rejects.toMatchObject({ code: 'ESERVFAIL' })
    expect(own.asked).toEqual(['printer.local', 'nobody.local'])
  })

  test('gives more addresses than fit into a packet is found with a limited number of them', async () => {
    const many = Array.from({ length: 3_000 }, (_, n) => `192.0.${n >> 8}.${n & 255}`)
    const overTcp: string[] = []
    const { addresses } = await startLookup((name, family, over) => {
      if (over === 'tcp' && family === 4) overTcp.push(name)
      return { isCutOff: true, addresses: many }
    })
    expect(await addresses(HOST)).toEqual(many.slice(0, 32))
    expect(overTcp).toEqual([HOST])
  })

  test('has not answered for one family is asked again soon, and one that has answered for both is not', async () => {
    let isSlow = true
    const zone: Zone = (name, family) =>
      isSlow && family === 4 && name === 'half.example' ? 'silent' : ['192.0.2.1', '::7']
    const { addresses } = await startLookup(zone)
    expect(await addresses('half.example')).toEqual(['::7'])
    expect(await addresses('whole.example')).toEqual(['192.0.2.1', '::7'])
    isSlow = false
    passSeconds(11)
    expect(await addresses('half.example')).toEqual(['192.0.2.1', '::7'])
  })

  test('does not answer twice is asked a third time, within the deadline', async () => {
    const asked = { 4: 0, 6: 0 }
    const zone: Zone = (name, family) => (name !== HOST || ++asked[family] > 2 ? ['192.0.2.1'] : 'silent')
    const { addresses } = await startLookup(zone, { deadlineMs: 60_000 })
    for (let n = 0; n < 10; n++) await addresses(`quick${n}.example`)
    expect(await addresses(HOST)).toEqual(['192.0.2.1'])
  })

  test('says for IPv4 that there is no such name is not found, without a wait for the answer for IPv6', async () => {
    const { addresses } = await startLookup((_, family) => (family === 4 ? undefined : 'silent'), {
      deadlineMs: 60_000,
    })
    await expect(addresses(HOST)).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })

  test('says for IPv6 that there is no such name is found with the addresses of IPv4', async () => {
    const { addresses } = await startLookup((_, family) => (family === 6 ? undefined : ['192.0.2.1']))
    expect(await addresses(HOST)).toEqual(['192.0.2.1'])
  })
})

describe('an answer of a name server is cached', () => {
  test.each([
    [0, 0.5, 2],
    [60, 59, 61],
    [1_000_000, 299, 301],
  ])('with a time to live of %i s for %d s and not for %d s', async (ttl, within, past) => {
    const { addresses, asked } = await startLookup(() => ['192.0.2.1'], { ttl })
    await addresses(HOST)
    passSeconds(within)
    await addresses(HOST)
    expect(asked).toHaveLength(2)
    vi.restoreAllMocks()
    passSeconds(past)
    await addresses(HOST)
    expect(asked).toHaveLength(4)
  })

  test('for a thousand names, and the oldest is dropped first', async () => {
    const { addresses, asked } = await startLookup(() => ['192.0.2.1'], { deadlineMs: 30_000 })
    for (let n = 0; n <= 1_000; n++) await addresses(`n${n}.example`)
    asked.length = 0
    await addresses('n1.example')
    await addresses('n1000.example')
    expect(asked).toEqual([])
    await addresses('n0.example')
    expect(asked).toEqual(['n0.example', 'n0.example'])
  })
})

describe('a search domain', () => {
  test('whose servers hang or fail does not keep the others from being tried', async () => {
    const zone: Zone = (name) => {
      if (name.endsWith('.gone.example')) return 'silent'
      if (name.endsWith('.broken.example')) return { rcode: SERVFAIL }
      return name === 'llm.ml' ? ['10.0.0.9'] : undefined
    }
    const resolvConf = 'search gone.example broken.example cluster.local\noptions ndots:5\n'
    const { addresses } = await startLookup(zone, { resolvConf })
    expect(await addresses('llm.ml')).toEqual(['10.0.0.9'])
    await expect(addresses('other.ml')).rejects.toMatchObject({ code: 'ETIMEOUT' })
  })
})

describe('a host name', () => {
  test.each([
    ['with an underscore', 'my_api', 'my_api'],
    ['with a dot at its end', 'api.example.com.', 'api.example.com'],
    ['beyond ASCII', new URL('http://bücher.example').hostname, 'xn--bcher-kva.example'],
  ])('%s is looked up unchanged', async (_, name, wire) => {
    const { addresses } = await startLookup((asked) => (asked === wire ? ['10.0.0.9'] : undefined))
    expect(await addresses(name)).toEqual(['10.0.0.9'])
  })

  test.each(['.', 'a..b', `${'x'.repeat(64)}.example`, 'x.'.repeat(200)])(
    'that is not valid (%s) is not found',
    async (name) => {
      const { addresses } = await startLookup(() => undefined, { hosts: '10.0.0.1 a\n' })
      await expect(addresses(name)).rejects.toMatchObject({ code: 'ENOTFOUND' })
    },
  )

  test('is found in a hosts file of any length, as a whole word outside comments', async () => {
    const blocked = Array.from({ length: 20_000 }, (_, n) => `10.0.${n >> 8}.${n & 255} one ad${n}.example`)
    const hosts = [
      ...blocked,
      '10.1.0.1 ads.example',
      '# 10.1.0.2 two',
      '10.1.0.3\tnot-two two.example\ttwo#three',
    ].join('\r\n')
    const { addresses, asked } = await startLookup(() => undefined, { hosts })
    expect(await addresses('one')).toHaveLength(32)
    expect(await addresses('ads.example')).toEqual(['10.1.0.1'])
    expect(await addresses('Two')).toEqual(['10.1.0.3'])
    expect(asked).toEqual([])
    await expect(addresses('three')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })

  test('that the system cannot look up does not keep others from being looked up', async () => {
    const own = system({ 'printer.local': '10.0.0.7' })
    const choosy = ((...args: Parameters<typeof own>) => {
      if (String(args[0]) === 'odd.local') throw new TypeError('no name')
      own(...args)
    }) as unknown as typeof getaddrinfo
    const { addresses } = await startLookup(() => undefined, { system: choosy })
    await expect(addresses('odd.local')).rejects.toMatchObject({ code: 'ENOTFOUND' })
    expect(await addresses('printer.local')).toEqual(['10.0.0.7'])
  })
})

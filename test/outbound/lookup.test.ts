import type { lookup as getaddrinfo } from 'node:dns'
import { describe, expect, test } from 'vitest'
import { callerOf, startServer } from './loopback-server.ts'
import type { Zone } from './name-server.ts'
import { startLookup, system } from './resolver.ts'

describe('the lookup of a host name', () => {
  test('gives the addresses of both families, IPv4 first, or those of one family', async () => {
    const { addresses } = await startLookup((name) => (name === 'api.example.com' ? ['192.0.2.1', '::7'] : undefined))
    expect(await addresses('API.example.com')).toEqual(['192.0.2.1', '::7'])
    expect(await addresses('api.example.com', 6)).toEqual(['::7'])
  })

  test('asks for a name once while its answer is valid, and once for all callers at a time', async () => {
    const { addresses, asked } = await startLookup(() => ['192.0.2.1'])
    await Promise.all(Array.from({ length: 20 }, () => addresses('a.example')))
    await addresses('a.example')
    expect(asked).toEqual(['a.example', 'a.example'])
  })

  test('gives the addresses of the hosts file without asking a name server', async () => {
    const hosts = '127.0.0.1 localhost\n10.1.2.3\tmodels.internal Models # ours\n::5 models\nnonsense models\n'
    const { addresses, asked } = await startLookup(() => undefined, { hosts })
    expect(await addresses('models')).toEqual(['10.1.2.3', '::5'])
    expect(await addresses('models.internal.')).toEqual(['10.1.2.3'])
    expect(await addresses('localhost')).toEqual(['127.0.0.1'])
    expect(await addresses('api.localhost')).toEqual(['127.0.0.1', '::1'])
    expect(asked).toEqual([])
  })

  test('tries the name of a service alone and with the search domains, in the order of ndots', async () => {
    const zone: Zone = (name) =>
      ['llm', 'llm.ml.svc.cluster.local', 'llm.ml'].includes(name) ? ['10.0.0.9'] : undefined
    const few = await startLookup(zone, { resolvConf: 'nameserver 127.0.0.11\nsearch example.org\n' })
    expect(await few.addresses('llm')).toEqual(['10.0.0.9'])
    expect(new Set(few.asked)).toEqual(new Set(['llm.example.org', 'llm']))
    const many = await startLookup(zone, {
      resolvConf: 'search svc.cluster.local cluster.local\noptions timeout:1 ndots:5\n',
    })
    expect(await many.addresses('llm.ml')).toEqual(['10.0.0.9'])
    expect(new Set(many.asked)).toEqual(new Set(['llm.ml.svc.cluster.local']))
  })

  test('asks the system for names that the name servers do not know', async () => {
    const { addresses } = await startLookup(() => undefined, { system: system({ 'printer.local': '10.0.0.7' }) })
    expect(await addresses('printer.local')).toEqual(['10.0.0.7'])
    await expect(addresses('nobody.example')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })

  test('gives the addresses of one family where the other is never answered', async () => {
    let asked = 0
    const { addresses } = await startLookup(() => (++asked === 1 ? ['192.0.2.1', '::7'] : 'silent'))
    expect(await addresses('half.example')).toHaveLength(1)
  })

  test('ends at its deadline where no server answers, and can be repeated after that', async () => {
    let isSilent = true
    const { addresses } = await startLookup(() => (isSilent ? 'silent' : ['192.0.2.1']))
    await expect(addresses('slow.example')).rejects.toMatchObject({ code: 'ETIMEOUT' })
    isSilent = false
    expect(await addresses('slow.example')).toEqual(['192.0.2.1'])
  })

  test('that hangs delays no other, however many hang, also in the system', async () => {
    let asked = 0
    const hanging = (() => asked++) as unknown as typeof getaddrinfo
    const zone: Zone = (name) =>
      name === 'good.example' ? ['192.0.2.1'] : name.startsWith('gone') ? undefined : 'silent'
    const { addresses } = await startLookup(zone, { system: hanging, deadlineMs: 60_000 })
    const hung = Array.from({ length: 40 }, (_, n) => addresses(`${n % 2 === 0 ? 'gone' : 'hung'}-${n}.example`))
    for (const each of hung) each.catch(() => {})
    expect(await addresses('good.example')).toEqual(['192.0.2.1'])
    expect(asked).toBeLessThanOrEqual(1)
  })

  test('waits for the system until its deadline, and no longer', async () => {
    const { addresses } = await startLookup(() => undefined, { system: (() => {}) as unknown as typeof getaddrinfo })
    const hung = ['one', 'two', 'three'].map((name) => addresses(name))
    for (const each of hung) await expect(each).rejects.toMatchObject({ code: 'ETIMEOUT' })
  })
})

test('a source whose host names hang delays no other source, and its calls fail with the cause', async () => {
  const server = await startServer()
  const { lookup } = await startLookup((name) => (name === 'good.example.internal' ? ['127.0.0.1'] : 'silent'))
  const hanging = Array.from({ length: 8 }, (_, n) => callerOf(`http://hung-${n}.internal:${server.port}`, { lookup }))
  const hung = hanging.map(({ call }) => call({ method: 'GET', path: '/' }))
  let areOver = false
  void Promise.all(hung).then(() => {
    areOver = true
  })
  const { call } = callerOf(`http://good.example.internal:${server.port}`, { lookup })
  expect(await call({ method: 'GET', path: '/' })).toMatchObject({ ok: true, status: 200 })
  expect(areOver).toBe(false)
  expect(await hung[0]).toMatchObject({ ok: false, failure: expect.stringMatching(/unreachable|timeout/) })
})

test('private addresses are refused where they are not allowed, also from the hosts file and from the cache', async () => {
  const server = await startServer()
  const zone: Zone = () => ['127.0.0.1']
  const { lookup } = await startLookup(zone, { hosts: '127.0.0.1 in-hosts.example.com\n' })
  for (const host of ['in-hosts.example.com', 'in-dns.example.com', 'in-dns.example.com']) {
    const { call } = callerOf(`http://${host}:${server.port}`, { lookup, baseIsConfigured: false })
    expect(await call({ method: 'GET', path: '/' })).toMatchObject({ ok: false, failure: 'forbidden_address' })
  }
  expect(server.connections()).toBe(0)
})

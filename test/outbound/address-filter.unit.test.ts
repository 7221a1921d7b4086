import { describe, expect, test } from 'vitest'
import { filterFor, mayConnect, PUBLIC_ONLY } from '../../src/outbound/address-filter.ts'

const PRIVATE_TOO = { privateNetworks: true, own: undefined }

const words = (text: string): string[] => text.trim().split(/\s+/)

const publicAddresses = words(`
  8.8.8.8 1.1.1.1 172.32.0.1 100.128.0.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808
`)

const privateAddresses = words(`
  127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255
  ::1 0:0:0:0:0:0:0:1 fc00::1 fd12:3456::1
  ::ffff:127.0.0.1 ::ffff:7f00:1 ::FFFF:10.0.0.1 ::ffff:192.168.0.1 64:ff9b::127.0.0.1 64:ff9b::a00:1
`)

const specialAddresses = words(`
  169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 fe80::1 febf::1 fe80::1%eth0
  fd00:ec2::254 fd20:ce::254 fd00:42::42 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe
`)

const unusableAddresses = words(`
  0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
  198.18.0.1 198.19.255.255 192.0.2.1 198.51.100.1 203.0.113.1 192.0.0.192 192.88.99.1
  :: ff02::1 2002:7f00:1:: 2002:808:808::1 2001::1 2001:2::1 2001:db8::1 3fff::1 100::1 fec0::1 4000::1 5f00::1
  64:ff9b:1::1 ::127.0.0.1 ::ffff:0.0.0.0 ::ffff:224.0.0.1 64:ff9b::0.0.0.0
  localhost 127.1 2130706433 0x7f000001 [::1]
`)

const allowed = (addresses: readonly string[], reach: Parameters<typeof mayConnect>[1]): string[] =>
  addresses.filter((address) => mayConnect(address, reach))

describe('an outbound call to an address', () => {
  test('that is public is allowed at every reach', () => {
    expect(allowed(publicAddresses, PUBLIC_ONLY)).toEqual(publicAddresses)
    expect(allowed(publicAddresses, PRIVATE_TOO)).toEqual(publicAddresses)
  })

  test('that is private is allowed only with private networks', () => {
    expect(allowed(privateAddresses, PUBLIC_ONLY)).toEqual([])
    expect(allowed(privateAddresses, PRIVATE_TOO)).toEqual(privateAddresses)
  })

  test('that is link-local or gives out credentials is allowed only where the URL names this very address', () => {
    expect(allowed(specialAddresses, PRIVATE_TOO)).toEqual([])
    expect(allowed(specialAddresses, filterFor('169.254.169.254', true))).toEqual(['169.254.169.254'])
    expect(allowed(specialAddresses, filterFor('[fd00:ec2::254]', true))).toEqual(['fd00:ec2::254'])
    expect(allowed(specialAddresses, filterFor('169.254.169.254', false))).toEqual([])
  })

  test('that is reserved or invalid is never allowed', () => {
    expect(allowed(unusableAddresses, PUBLIC_ONLY)).toEqual([])
    expect(allowed(unusableAddresses, PRIVATE_TOO)).toEqual([])
    expect(allowed(unusableAddresses, { privateNetworks: true, own: '0.0.0.0' })).toEqual([])
  })
})

describe('a base URL with the host', () => {
  test.each(
    words(`
      localhost LOCALHOST localhost. app.localhost ollama box.local api.internal nas.lan nas.home.arpa
      llm.default.svc llm.default.svc.cluster.local 127.0.0.1 10.1.2.3 [::1]
    `),
  )('%s allows private networks, and only where the URL is configured', (host) => {
    expect(filterFor(host, true).privateNetworks).toBe(true)
    expect(filterFor(host, false)).toEqual(PUBLIC_ONLY)
  })

  test.each(
    words(`
      api.example.com 127.0.0.1.nip.io localhost.example.com internal.example.com notlocal.com
      mylocalhost.dev a.notinternal arpa.home lan.net svc.io
    `),
  )('%s allows no private networks', (host) => {
    expect(filterFor(host, true)).toEqual(PUBLIC_ONLY)
  })
})

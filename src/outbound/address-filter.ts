import { BlockList, isIP, isIPv6 } from 'node:net'

/** Which addresses a caller of a provider may connect to beside public ones. */
export interface AddressFilter {
  /** Loopback, RFC 1918, CGNAT and unique local addresses. */
  readonly privateNetworks: boolean
  /** The address that the operator's URL names literally. It may also be one under which clouds give out credentials. */
  readonly own: string | undefined
}

export const PUBLIC_ONLY: AddressFilter = { privateNetworks: false, own: undefined }

/** Names that exist on private networks only: RFC 6761, 6762, 8375, ICANN's `.internal`, Kubernetes, Docker. */
const PRIVATE_NAME = /^[^.]+$|\.(?:localhost|local|internal|lan|home\.arpa|svc)$/

export const isPrivateName = (name: string): boolean => PRIVATE_NAME.test(name.replace(/\.$/, '').toLowerCase())

/** IPv6 prefixes that contain all IPv4 addresses: mapped addresses, and NAT64 (RFC 6052), which networks without IPv4 use. */
const MAPPED = '::ffff:'
const NAT64 = '64:ff9b::'

type Ranges = readonly (readonly [network: string, prefixBits: number])[]

/** From IANA's special-purpose registries (RFC 6890). Each IPv4 range also applies to its IPv6 forms. */
const privateNetworks = blockList([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
])

/** Link-local addresses, and addresses under which clouds give out credentials: AWS, Google, Azure, Alibaba, Scaleway. */
const metadata = blockList([
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['fe80::', 10],
  ['fd00:ec2::', 32],
  ['fd20:ce::', 32],
  ['fd00:42::42', 128],
])

/** Unspecified, multicast, reserved, benchmark and documentation addresses, and tunnels, whose other ends cannot be checked. */
const unusable = blockList([
  ['0.0.0.0', 8],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
])

/** The public IPv6 addresses; all others are reserved. */
const publicIPv6 = blockList([
  ['2000::', 3],
  [`${MAPPED}0.0.0.0`, 96],
  [`${NAT64}0.0.0.0`, 96],
])

/** Gives whether an address is in one of the ranges. The list is made at the first call: handler processes seldom need it. */
function blockList(ranges: Ranges): (address: string, family: 'ipv4' | 'ipv6') => boolean {
  let list: BlockList | undefined
  return (address, family) => {
    list ??= listOf(ranges)
    return list.check(address, family)
  }
}

function listOf(ranges: Ranges): BlockList {
  const list = new BlockList()
  for (const [network, prefixBits] of ranges) {
    if (isIPv6(network)) {
      list.addSubnet(network, prefixBits, 'ipv6')
      continue
    }
    list.addSubnet(network, prefixBits, 'ipv4')
    for (const prefix of [MAPPED, NAT64]) list.addSubnet(`${prefix}${network}`, 96 + prefixBits, 'ipv6')
  }
  return list
}

/** Whether a connection to this address may be opened; false for a text that is no address. */
export function mayConnect(address: string, filter: AddressFilter): boolean {
  const bare = address.replace(/%.*$/, '')
  if (isIP(bare) === 0) return false
  const family = isIPv6(bare) ? 'ipv6' : 'ipv4'
  if (unusable(bare, family)) return false
  if (metadata(bare, family)) return bare === filter.own
  if (privateNetworks(bare, family)) return filter.privateNetworks
  return family === 'ipv4' || publicIPv6(bare, family)
}

/** The host of a URL without the brackets of an IPv6 address and without a final dot. `URL` normalizes every spelling of an address. */
export const bareHost = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')

/** The filter for a base URL. `hostname` comes from `URL`. `isConfigured`: the operator set the URL. */
export function filterFor(hostname: string, isConfigured: boolean): AddressFilter {
  if (!isConfigured) return PUBLIC_ONLY
  const host = bareHost(hostname)
  if (isIP(host) !== 0) return { privateNetworks: true, own: host }
  return { privateNetworks: isPrivateName(host), own: undefined }
}

/** The filter for a URL whose author says whether private networks are meant. */
export function filterBy(hostname: string, allowPrivate: boolean): AddressFilter {
  const host = bareHost(hostname)
  return allowPrivate ? { privateNetworks: true, own: isIP(host) === 0 ? undefined : host } : PUBLIC_ONLY
}

/** Whether the filter refuses this host whatever it resolves to: it is such an address, or a name of private networks only. */
export function isRefused(hostname: string, filter: AddressFilter): boolean {
  const host = bareHost(hostname)
  return isIP(host) === 0 ? isPrivateName(host) && !filter.privateNetworks : !mayConnect(host, filter)
}

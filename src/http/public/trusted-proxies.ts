import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Where a request came from. */
interface ClientAddress {
  /** The other end of the connection. */
  readonly peer: string | undefined
  /** The client's address as a trusted proxy names it. Absent: no trusted proxy named one. */
  readonly client?: string
}

export interface TrustedProxies {
  readonly addressOf: (request: FastifyRequest) => ClientAddress
  /** Whether the client used https to the outermost trusted proxy. */
  readonly isHttps: (request: FastifyRequest) => boolean
}

/** `trusted`: addresses and CIDRs of the proxies whose `X-Forwarded-…` headers count; the same list until a reload. */
export function createTrustedProxies(trusted: () => readonly string[]): TrustedProxies {
  let compiled: { readonly from: readonly string[]; readonly list: BlockList } | undefined
  const listNow = (): BlockList => {
    const from = trusted()
    if (compiled?.from !== from) compiled = { from, list: listOf(from) }
    return compiled.list
  }
  const trusts = (address: string | undefined): boolean =>
    address !== undefined && listNow().check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

  /** The hops from the nearest to the first that is not trusted. Undefined as a hop: a proxy wrote a text that is no address. */
  function hopsOf({ socket, headers }: IncomingMessage): readonly (string | undefined)[] {
    const hops = [socket.remoteAddress]
    for (const entry of entriesIn(headers['x-forwarded-for']).toReversed()) {
      if (!trusts(hops.at(-1))) break
      hops.push(addressIn(entry))
    }
    return hops
  }

  return {
    addressOf({ raw }) {
      const peer = raw.socket.remoteAddress
      const client = hopsOf(raw).at(-1)
      return client === undefined || client === peer ? { peer } : { peer, client }
    },

    isHttps({ raw }) {
      const schemes = entriesIn(raw.headers['x-forwarded-proto'])
      if (schemes.length === 0 || !trusts(raw.socket.remoteAddress)) return false
      // If every proxy appends to both headers, each scheme belongs to the address at the same position, and the client wrote
      // everything before the first trusted proxy's entry. Otherwise the proxies passed on what one of them wrote.
      const addresses = entriesIn(raw.headers['x-forwarded-for'])
      const trustedHops = hopsOf(raw).length - 1
      const at = schemes.length === addresses.length ? schemes.length - trustedHops : 0
      return schemes[at]?.toLowerCase() === 'https'
    },
  }
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

const entriesIn = (header: string | readonly string[] | undefined): readonly string[] =>
  header === undefined ? [] : [header].flat().flatMap((value) => value.split(',').map((entry) => entry.trim()))

/** Some proxies add the port. */
const WITH_PORT = /^(?:\[(?<v6>[^\]]+)\](?::\d+)?|(?<v4>[^:]+):\d+)$/

function addressIn(text: string): string | undefined {
  const { v4, v6 } = WITH_PORT.exec(text)?.groups ?? {}
  const address = v4 ?? v6 ?? text
  return isIP(address) === 0 ? undefined : address
}

import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Where a request came from. */
export interface Origin {
  /** The other end of the connection. */
  readonly peer: string | undefined
  /** As a trusted proxy tells it; absent where none stands between. */
  readonly client?: string
}

export interface Proxies {
  readonly originOf: (request: FastifyRequest) => Origin
  /** Whether the client spoke https to the outermost of the trusted proxies. */
  readonly isHttps: (request: FastifyRequest) => boolean
}

/** `trusted`: addresses and CIDRs of the proxies whose `X-Forwarded-…` headers count. */
export function createProxies(trusted: readonly string[]): Proxies {
  const list = new BlockList()
  for (const range of trusted) {
    const [address = '', bits] = range.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  const trusts = (address: string | undefined): boolean =>
    address !== undefined && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

  /** From the nearest to the first that is not trusted; undefined: what a proxy wrote is no address. */
  function hopsOf({ socket, headers }: IncomingMessage): readonly (string | undefined)[] {
    const hops = [socket.remoteAddress]
    for (const entry of entriesIn(headers['x-forwarded-for']).toReversed()) {
      if (!trusts(hops.at(-1))) break
      hops.push(addressIn(entry))
    }
    return hops
  }

  return {
    originOf({ raw }) {
      const peer = raw.socket.remoteAddress
      const client = hopsOf(raw).at(-1)
      return client === undefined || client === peer ? { peer } : { peer, client }
    },

    isHttps({ raw }) {
      const schemes = entriesIn(raw.headers['x-forwarded-proto'])
      if (schemes.length === 0 || !trusts(raw.socket.remoteAddress)) return false
      // Where each proxy has appended to both headers, each scheme stands beside the address that used it; what lies
      // before the first trusted proxy is the client's own word. Elsewhere the proxies hand on one proxy's word.
      const addresses = entriesIn(raw.headers['x-forwarded-for'])
      const trustedHops = hopsOf(raw).length - 1
      const at = schemes.length === addresses.length ? schemes.length - trustedHops : 0
      return schemes[at]?.toLowerCase() === 'https'
    },
  }
}

const entriesIn = (header: string | readonly string[] | undefined): readonly string[] =>
  header === undefined ? [] : [header].flat().flatMap((value) => value.split(',').map((entry) => entry.trim()))

/** Some proxies name the port, too. */
const WITH_PORT = /^(?:\[(?<v6>[^\]]+)\](?::\d+)?|(?<v4>[^:]+):\d+)$/

function addressIn(text: string): string | undefined {
  const { v4, v6 } = WITH_PORT.exec(text)?.groups ?? {}
  const address = v4 ?? v6 ?? text
  return isIP(address) === 0 ? undefined : address
}

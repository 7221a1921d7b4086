import { isIP } from 'node:net'

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/**
 * Whom an address stands for: an IPv4 address itself, of an IPv6 address its /64, which is what one subscriber has.
 * What is no address is one peer, whatever it says.
 */
export function peerOf(address: string | undefined): string {
  const bare = address?.replace(/%.*$/, '') ?? ''
  const [, mapped] = MAPPED.exec(bare) ?? []
  if (mapped !== undefined && isIP(mapped) === 4) return mapped
  const family = isIP(bare)
  if (family === 0) return 'unknown'
  return family === 4 ? bare : prefixOf(bare)
}

function prefixOf(address: string): string {
  const [left = '', right] = address.replace(/[^:]*\.[^:]*$/, '0:0').split('::')
  const head = groupsIn(left)
  const tail = groupsIn(right ?? '')
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0')
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`
}

const groupsIn = (text: string): string[] =>
  text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16).toString(16))

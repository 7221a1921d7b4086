import { isIP } from 'node:net'
import { MAX_TRUSTED_PEERS, SUSPICION_MS } from '../domain/limits.ts'

/** A connection that takes no turns in the scheduler until `guard` is called. */
interface Guarded {
  /** Idempotent. */
  readonly guard: () => void
}

/**
 * Peers that have sent an authentic event, and no suspicious bytes since. Guarding a connection costs a tenth of what an event
 * costs, so connections that a trusted peer opens stay unguarded: they take no turns. When any connection of a peer becomes
 * suspicious, all of them are guarded, and also those that the peer opens in the next `SUSPICION_MS`, even if it sends authentic
 * events meanwhile.
 */
export class TrustedPeers {
  readonly #now: () => number
  /** The open, unguarded connections of each trusted peer. */
  readonly #trusted = new Map<string, Set<Guarded>>()
  /** Until when a peer is suspected. */
  readonly #suspected = new Map<string, number>()

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Called when the peer has sent an authentic event. */
  trust(peer: string): void {
    if (this.#trusted.has(peer) || this.#isSuspected(peer)) return
    for (const [oldest] of this.#trusted) {
      if (this.#trusted.size < MAX_TRUSTED_PEERS) break
      this.#forget(oldest)
    }
    this.#trusted.set(peer, new Set())
  }

  suspect(peer: string): void {
    this.#forget(peer)
    this.#suspected.delete(peer)
    for (const [oldest] of this.#suspected) {
      if (this.#suspected.size < MAX_TRUSTED_PEERS) break
      this.#suspected.delete(oldest)
    }
    this.#suspected.set(peer, this.#now() + SUSPICION_MS)
  }

  /** Called for a new connection. Returns true if it is to stay unguarded for now: the caller calls `closed` when it closes. */
  opened(peer: string, connection: Guarded): boolean {
    const unguarded = this.#trusted.get(peer)
    unguarded?.add(connection)
    return unguarded !== undefined
  }

  closed(peer: string, connection: Guarded): void {
    this.#trusted.get(peer)?.delete(connection)
  }

  #forget(peer: string): void {
    const unguarded = this.#trusted.get(peer) ?? []
    this.#trusted.delete(peer)
    for (const connection of unguarded) connection.guard()
  }

  #isSuspected(peer: string): boolean {
    const untilMs = this.#suspected.get(peer)
    if (untilMs === undefined) return false
    if (this.#now() < untilMs) return true
    this.#suspected.delete(peer)
    return false
  }
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** Node writes an IPv4 address as one of IPv6 if the listener takes both. */
export function plainAddress(address: string): string {
  const [, mapped] = MAPPED.exec(address) ?? []
  return mapped !== undefined && isIP(mapped) === 4 ? mapped : address
}

/**
 * The peer of a client's address. An IPv4 address is one peer; so is an IPv6 /64 network, which is what one subscriber has. All
 * texts that are no address together are one peer.
 */
export function peerOf(address: string | undefined): string {
  const bare = plainAddress(address?.replace(/%.*$/, '') ?? '')
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

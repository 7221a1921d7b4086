import { MAX_PROVEN_PEERS, SUSPICION_MS } from '../domain/limits.ts'

/** What a connection of a proven peer is spared until the peer is suspected. */
export interface Guarded {
  /** Idempotent. */
  readonly guard: () => void
}

/**
 * Peers that have sent an authentic event and nothing out of order since. To stand between a socket and Node's parser costs a
 * tenth of what an event costs, so the connections that such a peer opens are spared it: they take no turns. At the first
 * disorder on any of them all are guarded, and those that it opens in the next `SUSPICION_MS`, whatever it proves meanwhile.
 */
export class ProvenPeers {
  readonly #now: () => number
  /** Of each proven peer, the connections that are open and not guarded. */
  readonly #spared = new Map<string, Set<Guarded>>()
  /** Until when a peer is suspected. */
  readonly #suspected = new Map<string, number>()

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  prove(peer: string): void {
    if (this.#spared.has(peer) || this.#isSuspected(peer)) return
    for (const [oldest] of this.#spared) {
      if (this.#spared.size < MAX_PROVEN_PEERS) break
      this.#forget(oldest)
    }
    this.#spared.set(peer, new Set())
  }

  suspect(peer: string): void {
    this.#forget(peer)
    this.#suspected.delete(peer)
    for (const [oldest] of this.#suspected) {
      if (this.#suspected.size < MAX_PROVEN_PEERS) break
      this.#suspected.delete(oldest)
    }
    this.#suspected.set(peer, this.#now() + SUSPICION_MS)
  }

  /** A connection was opened: returns whether it is spared, until `guard` is called or it is `closed`. */
  opened(peer: string, connection: Guarded): boolean {
    const spared = this.#spared.get(peer)
    spared?.add(connection)
    return spared !== undefined
  }

  closed(peer: string, connection: Guarded): void {
    this.#spared.get(peer)?.delete(connection)
  }

  #forget(peer: string): void {
    const spared = this.#spared.get(peer) ?? []
    this.#spared.delete(peer)
    for (const connection of spared) connection.guard()
  }

  #isSuspected(peer: string): boolean {
    const untilMs = this.#suspected.get(peer)
    if (untilMs === undefined) return false
    if (this.#now() < untilMs) return true
    this.#suspected.delete(peer)
    return false
  }
}

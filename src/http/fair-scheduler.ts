import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { ALL_TURNS_MS, MAX_UNPARSED_BYTES, PEER_TURN_MS } from '../domain/limits.ts'
import { Connection, type Scheduler } from './connection.ts'
import { peerOf, TrustedPeers } from './peers.ts'
import { type BudgetShare, ReadBudget } from './read-budget.ts'

/**
 * Shares the listening thread fairly between peers. Bytes that take longer to parse than one turn wait. In each turn of the event
 * loop, all waiting connections of one peer together have `PEER_TURN_MS`, one peer after the other. The thread is never idle while
 * bytes wait, and one peer, with any number of connections, delays a request of another peer by no more than its turn.
 */
class FairScheduler implements Scheduler {
  readonly #waiting = new Map<string, Connection[]>()
  readonly #queued = new WeakSet<Connection>()
  readonly #trusted: TrustedPeers
  /** Bounds the bytes that wait to be parsed. */
  readonly #unparsed: ReadBudget
  #isScheduled = false

  constructor(trusted: TrustedPeers, maxUnparsedBytes: number) {
    this.#trusted = trusted
    this.#unparsed = new ReadBudget(maxUnparsedBytes)
  }

  readonly now = (): number => performance.now()

  readonly endsAt = (): number => this.now() + PEER_TURN_MS

  readonly isBusy = (peer: string): boolean => this.#waiting.has(peer)

  readonly suspect = (peer: string): void => this.#trusted.suspect(peer)

  readonly open = (peer: string, evict: () => void): BudgetShare =>
    this.#unparsed.open({ peer, looksSigned: true }, evict)

  readonly wait = (connection: Connection): void => {
    if (this.#queued.has(connection)) return
    this.#queued.add(connection)
    const others = this.#waiting.get(connection.peer)
    if (others === undefined) this.#waiting.set(connection.peer, [connection])
    else others.push(connection)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#runAll()
      if (this.#waiting.size > 0) this.#schedule()
    })
  }

  #runAll(): void {
    const endsAtMs = this.now() + ALL_TURNS_MS
    // Only the peers that wait now. A peer that waits again goes to the end of the map, and this loop must not reach it.
    for (const [peer, connections] of this.#waiting.entries().take(this.#waiting.size)) {
      this.#waiting.delete(peer)
      const unfinished = this.#runPeer(connections)
      // To the end, so that the peers that this turn does not reach come first in the next turn.
      if (unfinished.length > 0) this.#waiting.set(peer, [...unfinished, ...(this.#waiting.get(peer) ?? [])])
      if (this.now() >= endsAtMs) return
    }
  }

  /** Returns the connections with more bytes to parse; those that had no turn come first. */
  #runPeer(connections: Connection[]): Connection[] {
    const endsAtMs = this.endsAt()
    const unfinished: Connection[] = []
    let next = 0
    for (; next < connections.length && this.now() < endsAtMs; next++) {
      const connection = connections[next] as Connection
      this.#queued.delete(connection)
      if (!connection.run(endsAtMs) || this.#queued.has(connection)) continue
      this.#queued.add(connection)
      unfinished.push(connection)
    }
    return [...connections.slice(next), ...unfinished]
  }
}

/** The connections of one server. */
export interface ClientConnections {
  readonly of: (socket: Socket) => Connection | undefined
  /** Called when an authentic event came over this connection: its peer is trusted from now on. */
  readonly trust: (socket: Socket) => void
  /** Called when this connection has made more work than senders make: its peer is not trusted any more. */
  readonly suspect: (socket: Socket) => void
  /** Whether exactly one request of this connection is unanswered. */
  readonly owesOne: (socket: Socket) => boolean
}

/** Makes the connections of a server take turns, except those of trusted peers. */
export function scheduleConnections(server: Server, maxUnparsedBytes = MAX_UNPARSED_BYTES): ClientConnections {
  const trusted = new TrustedPeers(() => performance.now())
  const scheduler = new FairScheduler(trusted, maxUnparsedBytes)
  const connections = new WeakMap<Socket, Connection>()
  server.on('connection', (socket) => {
    const peer = peerOf(socket.remoteAddress)
    const connection = new Connection(socket, peer, scheduler)
    connections.set(socket, connection)
    if (trusted.opened(peer, connection)) socket.once('close', () => trusted.closed(peer, connection))
    else connection.guard()
  })
  server.on('request', (request, answer) => connections.get(request.socket)?.requested(request, answer))
  return {
    of: (socket) => connections.get(socket),
    suspect: (socket) => connections.get(socket)?.suspect(),
    owesOne: (socket) => connections.get(socket)?.owesOne === true,
    trust: (socket) => {
      const peer = connections.get(socket)?.peer
      if (peer !== undefined) trusted.trust(peer)
    },
  }
}

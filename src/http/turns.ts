import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { ALL_TURNS_MS, MAX_UNPARSED_BYTES, PEER_TURN_MS } from '../domain/limits.ts'
import { type Arriving, createArriving, type Share } from './arriving.ts'
import { Connection, type Queue } from './connection.ts'
import { peerOf } from './peer.ts'
import { ProvenPeers } from './proven-peers.ts'

/**
 * Shares the listening thread between peers: what a connection sends beyond a turn's work waits, and in each turn of the
 * loop the connections of each peer that wait have `PEER_TURN_MS` together, in order. The thread is never idle while
 * something waits; but what one peer sends, over however many connections, delays another's request by no more than a turn.
 */
export class Turns implements Queue {
  readonly #waiting = new Map<string, Connection[]>()
  readonly #queued = new WeakSet<Connection>()
  readonly #proven: ProvenPeers
  readonly #unparsed: Arriving
  #isScheduled = false

  constructor(proven: ProvenPeers, maxUnparsedBytes: number) {
    this.#proven = proven
    this.#unparsed = createArriving(maxUnparsedBytes)
  }

  readonly now = (): number => performance.now()

  readonly endsAt = (): number => this.now() + PEER_TURN_MS

  readonly isBusy = (peer: string): boolean => this.#waiting.has(peer)

  readonly suspect = (peer: string): void => this.#proven.suspect(peer)

  readonly open = (peer: string, giveUp: () => void): Share => this.#unparsed.open({ peer, looksSigned: true }, giveUp)

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
    // Those that wait now: a peer that waits again is put behind, where the walk of the map would come by once more.
    for (const [peer, connections] of this.#waiting.entries().take(this.#waiting.size)) {
      this.#waiting.delete(peer)
      const left = this.#runPeer(connections)
      // Behind the others, so that those who are not reached in this turn of the loop come first in the next.
      if (left.length > 0) this.#waiting.set(peer, [...left, ...(this.#waiting.get(peer) ?? [])])
      if (this.now() >= endsAtMs) return
    }
  }

  /** Gives those that have not come to an end, the ones that had no turn first. */
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

/** The connections of a server. */
export interface Connections {
  readonly of: (socket: Socket) => Connection | undefined
  /** An authentic event came over this connection. */
  readonly proven: (socket: Socket) => void
  /** More work came over this connection than senders make. */
  readonly suspect: (socket: Socket) => void
  /** One answer is owed over this connection, and no more. */
  readonly owesOne: (socket: Socket) => boolean
}

/** Has the connections of a server take turns, but for those of proven peers. */
export function takeTurns(server: Server, maxUnparsedBytes = MAX_UNPARSED_BYTES): Connections {
  const proven = new ProvenPeers(() => performance.now())
  const turns = new Turns(proven, maxUnparsedBytes)
  const connections = new WeakMap<Socket, Connection>()
  server.on('connection', (socket) => {
    const peer = peerOf(socket.remoteAddress)
    const connection = new Connection(socket, peer, turns)
    connections.set(socket, connection)
    if (proven.opened(peer, connection)) socket.once('close', () => proven.closed(peer, connection))
    else connection.guard()
  })
  server.on('request', (request, answer) => connections.get(request.socket)?.requested(request, answer))
  return {
    of: (socket) => connections.get(socket),
    suspect: (socket) => connections.get(socket)?.suspect(),
    owesOne: (socket) => connections.get(socket)?.owesOne === true,
    proven: (socket) => {
      const peer = connections.get(socket)?.peer
      if (peer !== undefined) proven.prove(peer)
    },
  }
}

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { ALL_TURNS_MS, PEER_TURN_MS } from '../domain/limits.ts'
import { Connection, type Queue } from './connection.ts'
import { peerOf } from './peer.ts'

/**
 * Shares the listening thread between peers: what a connection sends beyond a turn's work waits, and in each turn of the
 * loop the connections of each peer that wait have `PEER_TURN_MS` together, in order. The thread is never idle while
 * something waits; but what one peer sends, over however many connections, delays another's request by no more than a turn.
 */
export class Turns implements Queue {
  readonly #waiting = new Map<string, Connection[]>()
  readonly #queued = new WeakSet<Connection>()
  #isScheduled = false

  readonly now = (): number => performance.now()

  readonly endsAt = (): number => this.now() + PEER_TURN_MS

  readonly isBusy = (peer: string): boolean => this.#waiting.has(peer)

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
    for (const [peer, connections] of this.#waiting) {
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

/** Has all connections of a server take turns. Gives each socket's connection. */
export function takeTurns(server: Server): (socket: Socket) => Connection | undefined {
  const turns = new Turns()
  const connections = new WeakMap<Socket, Connection>()
  const unconsume = (): void => {}
  server.on('connection', (socket) => {
    // Node's parser reads from the handle itself as long as no other listener wants the data.
    socket.on('data', unconsume).off('data', unconsume)
    connections.set(socket, new Connection(socket, peerOf(socket.remoteAddress), turns))
  })
  server.on('request', (request, answer) => connections.get(request.socket)?.requested(request, answer))
  return (socket) => connections.get(socket)
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Aborted when the client no longer waits: the connection is closed, or the client has closed its side of it. Most clients that go
 * away only do the latter. A client that has closed its side and still waits gets an answer at once.
 */
export function clientGone({ socket }: IncomingMessage, answer: ServerResponse): AbortSignal {
  const closed = new AbortController()
  answer.once('close', () => closed.abort())
  return AbortSignal.any([closed.signal, endOf(socket)])
}

/** One signal for each connection, since many waiting requests may share a connection. */
const ends = new WeakMap<Socket, AbortSignal>()

function endOf(socket: Socket): AbortSignal {
  const known = ends.get(socket)
  if (known !== undefined) return known
  const ended = new AbortController()
  if (socket.readableEnded) ended.abort()
  else socket.once('end', () => ended.abort())
  ends.set(socket, ended.signal)
  return ended.signal
}

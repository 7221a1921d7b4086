import type { Socket } from 'node:net'
import { type ProblemCode, problemMessage } from './problems.ts'

/** How long a socket stays open after its last answer, so that a sender still sending gets to read it. */
const LINGER_MS = 1_000

/** What a socket that broke HTTP is told, by the code of Node's error; other errors are broken connections. */
export type ClientFault = Extract<ProblemCode, 'timeout' | 'headers_too_large' | 'too_large' | 'malformed'>

function faultOf(code: string | undefined): ClientFault | undefined {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'timeout'
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 'too_large'
  return code?.startsWith('HPE_') ? 'malformed' : undefined
}

/**
 * Answers, once per socket, what Node reports as `clientError`: slow, oversized or malformed HTTP that never became a
 * request. Closing at once would reset the connection and take the answer with it, so the socket lingers, half-closed.
 */
export function clientErrorHandler(report: (fault: ClientFault, socket: Socket) => void) {
  const answered = new WeakSet<Socket>()
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (answered.has(socket)) return
    const fault = faultOf(error.code)
    if (fault === undefined || !socket.writable) {
      socket.destroy()
      return
    }
    answered.add(socket)
    report(fault, socket)
    socket.on('error', () => socket.destroy())
    socket.end(problemMessage(fault))
    const linger = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(linger))
  }
}

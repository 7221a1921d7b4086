import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Connection } from './connection.ts'
import { type ProblemCode, problemMessage } from './problems.ts'

/** The problem that is sent to a client whose bytes were no valid HTTP. */
export type ClientFault = Extract<ProblemCode, 'timeout' | 'headers_too_large' | 'too_large' | 'malformed'>

/** The problem for the code of Node's error; undefined: the connection itself is broken, and cannot be answered. */
function faultOf(code: string | undefined): ClientFault | undefined {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'timeout'
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 'too_large'
  return code?.startsWith('HPE_') ? 'malformed' : undefined
}

/** Listeners for the server's events of the same names. */
interface ClientErrors {
  readonly request: (request: IncomingMessage, answer: ServerResponse) => void
  readonly clientError: (error: NodeJS.ErrnoException, socket: Socket) => void
  readonly connect: (request: IncomingMessage, socket: Socket) => void
}

/**
 * Answers what Node reports as an error and not as a request: slow, oversized or malformed HTTP, and CONNECT. Answers once per
 * socket, since Node reports the error again for each piece that still arrives. Complete requests that came earlier on the same
 * socket get their answers first, so that the sender does not take the refusal for one of those.
 */
export function clientErrors(
  report: (fault: ClientFault, socket: Socket) => void,
  connectionOf: (socket: Socket) => Connection | undefined,
): ClientErrors {
  const refused = new WeakSet<Socket>()
  /** The latest answer of each socket, and the answer before it if that one was not sent completely when the latest request came. */
  const answers = new WeakMap<
    Socket,
    { readonly latest: ServerResponse; readonly before: ServerResponse | undefined }
  >()

  /** The answer to the last complete request, if it is not sent yet. */
  function unfinished(socket: Socket): ServerResponse | undefined {
    const { latest, before } = answers.get(socket) ?? {}
    const answer = latest?.req.complete === true ? latest : before
    return answer?.writableFinished === false ? answer : undefined
  }

  /** The answer to a request that was refused already when its body turned out to be broken. */
  function earlyAnswer(socket: Socket): ServerResponse | undefined {
    const latest = answers.get(socket)?.latest
    return latest?.req.complete === false && latest.headersSent ? latest : undefined
  }

  function refuse(socket: Socket, fault: ClientFault): void {
    const connection = connectionOf(socket)
    if (refused.has(socket) || connection?.isLingering === true) return
    refused.add(socket)
    connection?.stop()
    const answer = earlyAnswer(socket)
    if (answer === undefined) report(fault, socket)
    const end = (): void => {
      if (answer === undefined) socket.write(problemMessage(fault))
      connection?.linger()
    }
    const before = answer ?? unfinished(socket)
    if (before === undefined || before.writableFinished) end()
    else before.once('finish', end)
  }

  return {
    request: (request, answer) => answers.set(request.socket, { latest: answer, before: unfinished(request.socket) }),
    clientError: (error, socket) => {
      const fault = faultOf(error.code)
      if (fault === undefined) socket.destroy()
      else refuse(socket, fault)
    },
    connect: (_request, socket) => refuse(socket.resume(), 'malformed'),
  }
}

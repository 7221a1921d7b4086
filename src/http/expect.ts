import type { IncomingMessage, Server } from 'node:http'

/**
 * Asks a sender that waits to be asked for its body (RFC 9110 §10.1.1) with `100 Continue`, but not before somebody
 * begins to read the body: a request that is refused by its head alone gets its one answer, after which Node closes the
 * connection, since the body may follow or not.
 */
export function askWhenRead(server: Server): void {
  server.on('checkContinue', (request, answer) => {
    request.once('resume', () => {
      if (!answer.headersSent) answer.writeContinue()
    })
    server.emit('request', request, answer)
  })
  server.on('checkExpectation', (request, answer) => server.emit('request', request, answer))
}

/** Its sender expects something else than to be asked for the body. */
export const expectsUnknown = (request: IncomingMessage): boolean =>
  expectationsOf(request).some((expectation) => expectation !== '100-continue')

/** Its sender waits to be asked for the body. */
export const expectsToBeAsked = (request: IncomingMessage): boolean => expectationsOf(request).includes('100-continue')

/** In lower case. In HTTP/1.0 the header means nothing, as it may come from a proxy that passes on what it does not know. */
function expectationsOf({ headers: { expect }, httpVersion }: IncomingMessage): readonly string[] {
  if (expect === undefined || httpVersion === '1.0') return []
  return expect
    .split(',')
    .map((expectation) => expectation.trim().toLowerCase())
    .filter((expectation) => expectation !== '')
}

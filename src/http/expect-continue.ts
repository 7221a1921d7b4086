import type { IncomingMessage, Server } from 'node:http'

/**
 * Answers `Expect: 100-continue` (RFC 9110 §10.1.1) with `100 Continue` when the route begins to read the body, and not
 * before: a request that is refused by its head alone gets only that answer, after which Node closes the connection, since
 * the body may follow or not.
 */
export function continueWhenRead(server: Server): void {
  server.on('checkContinue', (request, answer) => {
    request.once('resume', () => {
      if (!answer.headersSent) answer.writeContinue()
    })
    server.emit('request', request, answer)
  })
  server.on('checkExpectation', (request, answer) => server.emit('request', request, answer))
}

/** The request has an expectation other than `100-continue`. */
export const expectsUnknown = (request: IncomingMessage): boolean =>
  expectationsOf(request).some((expectation) => expectation !== '100-continue')

/** The sender waits for `100 Continue` before it sends the body. */
export const expectsContinue = (request: IncomingMessage): boolean => expectationsOf(request).includes('100-continue')

/** In lower case. In HTTP/1.0 the header means nothing: a proxy may have passed it on without knowing it. */
function expectationsOf({ headers: { expect }, httpVersion }: IncomingMessage): readonly string[] {
  if (expect === undefined || httpVersion === '1.0') return []
  return expect
    .split(',')
    .map((expectation) => expectation.trim().toLowerCase())
    .filter((expectation) => expectation !== '')
}

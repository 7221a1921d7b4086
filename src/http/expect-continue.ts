import type { IncomingMessage, Server } from 'node:http'

/**
 * Answers `Expect: 100-continue` (RFC 9110 §10.1.1) with `100 Continue` when the route begins to read the body, and not
 * before. A request that is refused without its body gets only the refusal. Node closes the connection after it, since the sender
 * may send the body or not.
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

/** In lower case. Ignores the header in HTTP/1.0: a proxy that does not know it may have passed it on. */
function expectationsOf({ headers: { expect }, httpVersion }: IncomingMessage): readonly string[] {
  if (expect === undefined || httpVersion === '1.0') return []
  return expect
    .split(',')
    .map((expectation) => expectation.trim().toLowerCase())
    .filter((expectation) => expectation !== '')
}

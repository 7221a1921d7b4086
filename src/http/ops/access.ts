import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import { type ProblemCode, sendProblem } from '../problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route answers without a token, and for any host name. */
    open?: boolean
    /** The route only reads, but calls a provider. */
    callsOut?: boolean
  }
}

/** Allows only requests with the token. If no token is configured, allows only requests of this machine's programs to a local host name. */
export function guardOps(token: string | undefined): onRequestHookHandler {
  const refusalOf = token === undefined ? refuseForeign : requireToken(token)
  return (request, reply, done) => {
    const refusal = request.routeOptions.config.open === true ? undefined : refusalOf(request)
    if (refusal === undefined) done()
    else sendProblem(reply, refusal)
  }
}

/** Compares hashes, so that the time of the comparison shows neither the token's length nor how much of it was right. */
function requireToken(token: string) {
  const expected = hash('sha256', token, 'buffer')
  return ({ headers }: FastifyRequest): ProblemCode | undefined => {
    const sent = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
    if (sent === undefined) return 'token_required'
    return timingSafeEqual(hash('sha256', sent, 'buffer'), expected) ? undefined : 'token_invalid'
  }
}

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/**
 * Refuses requests that a web page in this machine's browser sends: a loopback address keeps out other machines, but not these.
 * - A page may point its own host name at this listener (DNS rebinding); the `Host` header shows that.
 * - A page may send a request to another site. It cannot read the answer, but the request could change data, make Holdfast call a
 *   provider, or keep the store busy. `Origin` and `Sec-Fetch-Site`, which pages cannot set, show that.
 * A link from another site to a route that only reads is allowed: the browser shows the answer to its user, and not to the page.
 */
function refuseForeign(request: FastifyRequest): ProblemCode | undefined {
  const { host, origin } = request.headers
  if (host === undefined || !LOOPBACK_HOST.test(host)) return 'foreign_host'
  if (origin !== undefined && origin !== `http://${host}`) return 'foreign_origin'
  const site = request.headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return undefined
  return isLinkToRead(request) ? undefined : 'foreign_origin'
}

const isLinkToRead = ({ method, headers, routeOptions }: FastifyRequest): boolean =>
  method === 'GET' &&
  headers['sec-fetch-mode'] === 'navigate' &&
  headers['sec-fetch-dest'] === 'document' &&
  routeOptions.config.callsOut !== true

import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import { type ProblemCode, sendProblem } from '../problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a token, and under any host name. */
    open?: boolean
    /** The route calls a provider, though it only reads. */
    callsOut?: boolean
  }
}

/** Lets only bearers of the token use the ops listener; without a token, only programs of this machine, under a local name. */
export function guardOps(token: string | undefined): onRequestHookHandler {
  const refusalOf = token === undefined ? refuseForeign : requireToken(token)
  return (request, reply, done) => {
    const refusal = request.routeOptions.config.open === true ? undefined : refusalOf(request)
    if (refusal === undefined) done()
    else sendProblem(reply, refusal)
  }
}

/** Compares hashes, so that the time taken shows neither the token's length nor how much of it was right. */
function requireToken(token: string) {
  const expected = hash('sha256', token, 'buffer')
  return ({ headers }: FastifyRequest): ProblemCode | undefined => {
    const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
    if (given === undefined) return 'token_required'
    return timingSafeEqual(hash('sha256', given, 'buffer'), expected) ? undefined : 'token_invalid'
  }
}

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/**
 * A loopback address keeps other machines out, but not the web pages in this machine's browser. A page may point its own host
 * name at this listener (DNS rebinding, which the Host header shows). Or it may send a request across sites, whose answer it
 * cannot read, but which could change something, have a provider called or keep the store busy (Origin and Sec-Fetch-Site,
 * which pages cannot set, show it). From another site only a link to a route that merely reads is served: the browser shows
 * the answer to its user alone.
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

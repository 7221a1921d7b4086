import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import { type ProblemCode, sendProblem } from '../problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered to everybody who reaches the listener. */
    open?: boolean
    /** It calls a provider, though it only reads. */
    callsOut?: boolean
  }
}

/** Who may use the ops listener: the bearers of the token; without one, whoever sits at this machine, by a local name. */
export function guardOps(token: string | undefined): onRequestHookHandler {
  const refusalOf = token === undefined ? refuseForeign : requireToken(token)
  return (request, reply, done) => {
    const refusal = request.routeOptions.config.open === true ? undefined : refusalOf(request)
    if (refusal === undefined) done()
    else sendProblem(reply, refusal)
  }
}

/** Compares hashes, so that neither the token's length nor how much of it was right shows in the time taken. */
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
 * A loopback address keeps other machines out, but not the web pages that this machine's browser shows: one may point its
 * own name here (DNS rebinding: told by the Host header), or ask across sites without reading the answer (told by Origin and
 * Sec-Fetch-Site, which pages cannot set), which is enough to change something, to have a provider called or to keep the
 * store busy. Only a link from elsewhere to what merely reads is followed: its answer is shown to whoever sits here.
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

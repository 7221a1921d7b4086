import { hash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Logger } from 'pino'
import type { AuditActor } from '../../domain/audit.ts'
import { type ProblemCode, sendProblem } from '../problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route answers without a token. */
    open?: boolean
    /** The route answers without a token, under any host name and to any site: it tells nothing about events. */
    health?: boolean
    /** The route only reads, but calls a provider. */
    callsOut?: boolean
    /** A page or a form of the console: it may be asked for by a session, and itself answers a request that has none. */
    console?: boolean
  }
  interface FastifyRequest {
    /** By what right the request is served. Null: by none, since the route is open. */
    credential: Credential | null
  }
}

export interface Credential {
  readonly actor: Extract<AuditActor, 'OPS_TOKEN' | 'OPS_READ_TOKEN' | 'loopback'>
  /** The place of the token in its variable, from 1, if the variable has several. */
  readonly tokenPlace?: number
}

/** The tokens and host names of the ops listener. */
export interface OpsAccess {
  /** Empty: the listener is bound to loopback, and serves programs of this machine only. */
  readonly tokens: readonly string[]
  readonly readTokens: readonly string[]
  /** The host of the address on which the listener is bound. */
  readonly host: string
  readonly allowedHosts: readonly string[]
}

interface Refusal {
  readonly code: ProblemCode
  readonly detail?: string
}

/** By what right a request to the console is made that has no token; undefined: by none. */
export type SessionOf = (request: FastifyRequest) => Credential | undefined

/** Serves only requests that may do what they ask. `access` is asked at each request, so that tokens can be replaced. */
export function guardOps(access: () => OpsAccess, sessionOf: SessionOf, log: Logger): onRequestHookHandler {
  const logRefusal = refusalLog(log)
  let known:
    | { readonly of: OpsAccess; readonly refusalOf: (request: FastifyRequest) => Refusal | undefined }
    | undefined
  return (request, reply, done) => {
    const now = access()
    if (known?.of !== now)
      known = { of: now, refusalOf: now.tokens.length === 0 ? withoutToken(now) : withTokens(now, sessionOf) }
    const refusal = request.routeOptions.config.health === true ? undefined : known.refusalOf(request)
    if (refusal === undefined) return done()
    request.credential = null
    if (refusal.code !== 'token_required') logRefusal(request, refusal.code)
    sendProblem(reply, refusal.code, refusal.detail === undefined ? {} : { detail: refusal.detail })
  }
}

/** The log gets at most one line about refusals in this time, which counts those since the line before. */
const REFUSAL_LOG_INTERVAL_MS = 1_000

function refusalLog(log: Logger) {
  let loggedAtMs = Number.NEGATIVE_INFINITY
  let unlogged = 0
  return ({ id, ip, method, routeOptions: { url } }: FastifyRequest, reason: ProblemCode): void => {
    const nowMs = performance.now()
    if (nowMs - loggedAtMs < REFUSAL_LOG_INTERVAL_MS) {
      unlogged++
      return
    }
    const others = unlogged === 0 ? {} : { others_since: unlogged }
    log.warn({ reqId: id, peer: ip, method, route: url, reason, ...others }, 'ops request refused')
    loggedAtMs = nowMs
    unlogged = 0
  }
}

/**
 * With tokens, the token decides. The host and the site of a request matter where a page in an operator's browser could use what it
 * must not: at routes that need no token, and for requests that a browser sends (they have `Origin` or `Sec-Fetch-Site`). A program
 * that has the token, such as a scrape by a service name, is served under any host name.
 */
function withTokens(access: OpsAccess, sessionOf: SessionOf) {
  const credentialOf = readCredentials(access)
  const isKnownHost = knownHosts(access)
  return (request: FastifyRequest): Refusal | undefined => {
    const { headers, routeOptions } = request
    const { config } = routeOptions
    const sent = credentialOf(request.headers.authorization)
    // A proxy with passwords of its own passes them on in the same header.
    const credential = config.console === true && typeof sent === 'string' ? (sessionOf(request) ?? sent) : sent
    if (typeof credential === 'object') request.credential = credential
    else if (config.open !== true && config.console !== true) return { code: credential }
    const isOfBrowser = headers.origin !== undefined || headers['sec-fetch-site'] !== undefined
    // A browser does not send the other two with a plain `GET` over http; every browser sends its languages.
    const isOfPage = isOfBrowser || (typeof credential === 'string' && headers['accept-language'] !== undefined)
    if (isOfPage && !isKnownHost(headers.host)) return unknownHost(headers.host)
    if (isForeignSite(request, isKnownHost)) return { code: 'foreign_origin' }
    if (request.credential?.actor === 'OPS_READ_TOKEN' && mayChange(request))
      return { code: 'read_only', detail: 'OPS_READ_TOKEN changes nothing and calls no provider: use OPS_TOKEN' }
    return undefined
  }
}

/**
 * Without a token, serves what this machine's programs ask under a local host name. A loopback address keeps out other machines, but
 * not the pages in this machine's browser:
 * - A page may point its own host name at this listener (DNS rebinding); the `Host` header shows that.
 * - A page may send a request to another site. It cannot read the answer, but the request could change data, make Holdfast call a
 *   provider, or keep the store busy. `Origin` and `Sec-Fetch-Site`, which pages cannot set, show that.
 */
function withoutToken({ allowedHosts }: OpsAccess) {
  const isKnownHost = (host: string | undefined): boolean =>
    host !== undefined && (LOOPBACK_HOST.test(host) || allowedHosts.includes(nameOf(host)))
  return (request: FastifyRequest): Refusal | undefined => {
    request.credential = { actor: 'loopback' }
    if (!isKnownHost(request.headers.host)) return unknownHost(request.headers.host)
    return isForeignSite(request, isKnownHost) ? { code: 'foreign_origin' } : undefined
  }
}

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** Compares hashes, so that the time of the comparison shows neither a token's length nor how much of it was right. */
export function readCredentials({ tokens, readTokens }: OpsAccess) {
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer')
  const known = (actor: Credential['actor'], all: readonly string[]) =>
    all.map((token, at) => ({
      digest: digest(token),
      credential: { actor, ...(all.length > 1 && { tokenPlace: at + 1 }) } satisfies Credential,
    }))
  const all = [...known('OPS_TOKEN', tokens), ...known('OPS_READ_TOKEN', readTokens)]
  return (authorization: string | undefined): Credential | 'token_required' | 'token_invalid' => {
    const sent = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
    if (sent === undefined) return 'token_required'
    const sentDigest = digest(sent)
    const matching = all.filter((each) => timingSafeEqual(sentDigest, each.digest))
    return matching[0]?.credential ?? 'token_invalid'
  }
}

/** Whether the request asks for more than to read what Holdfast has. */
const mayChange = ({ method, is404, routeOptions: { config } }: FastifyRequest): boolean =>
  !is404 &&
  config.audit !== false &&
  ((method !== 'GET' && method !== 'HEAD') || typeof config.audit === 'string' || config.callsOut === true)

/**
 * Names that an attacker on the internet cannot point anywhere: addresses, names of one label (a service of Compose or of the same
 * Kubernetes namespace), and names under domains that the public DNS does not have.
 */
function knownHosts({ host: bound, allowedHosts }: OpsAccess): (host: string | undefined) => boolean {
  const named = new Set([bound.toLowerCase(), ...allowedHosts])
  return (host) => {
    if (host === undefined) return false
    const name = nameOf(host)
    return isIP(name) !== 0 || named.has(name) || /^[a-z\d_-]+$/.test(name) || PRIVATE_NAME.test(name)
  }
}

const PRIVATE_NAME = /^[a-z\d_.-]+\.(?:localhost|local|internal|svc|home\.arpa)$/

/** Without the port, in lower case; an IPv6 address without its brackets. */
const nameOf = (host: string): string =>
  host
    .toLowerCase()
    .replace(/:\d{1,5}$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')

const unknownHost = (host: string | undefined): Refusal => ({
  code: 'foreign_host',
  ...(host !== undefined &&
    host !== '' && { detail: 'if this host name is right, add it to OPS_ALLOWED_HOSTS of the service' }),
})

/**
 * Whether a page of another site sent the request. A link from another site to a route that only reads is allowed: the browser shows
 * the answer to its user, and not to the page. `Origin` counts as our own if it names the host of the request, or a known host: a proxy
 * in front may speak https, and may replace `Host`.
 */
function isForeignSite(request: FastifyRequest, isKnownHost: (host: string | undefined) => boolean): boolean {
  const { host, origin, 'sec-fetch-site': site } = request.headers
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return !isLinkToRead(request)
  if (origin === undefined) return false
  const from = /^https?:\/\/([^/]+)$/i.exec(origin)?.[1]
  if (from === undefined) return true
  return from.toLowerCase() !== host?.toLowerCase() && !(site === 'same-origin' && isKnownHost(from))
}

const isLinkToRead = ({ method, headers, routeOptions: { config } }: FastifyRequest): boolean =>
  method === 'GET' &&
  headers['sec-fetch-mode'] === 'navigate' &&
  headers['sec-fetch-dest'] === 'document' &&
  config.callsOut !== true &&
  typeof config.audit !== 'string'

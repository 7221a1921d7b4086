import type { FastifyRequest, onRequestHookHandler } from 'fastify'

export const ROOT = '/console'

/**
 * Nothing but our own files, forms and requests; no script in a page, no style in an attribute. `Referrer-Policy` is not `no-referrer`:
 * with that, browsers send `Origin: null` with the console's own forms.
 */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
}

/** Whether the request reached a route of the console; every path under its root has one. */
export const isOfConsole = ({ routeOptions: { url = '' } }: FastifyRequest): boolean =>
  url === ROOT || url.startsWith(`${ROOT}/`)

/**
 * Runs before all that may refuse, so that every answer of the console has its headers. A browser at the root of the listener is led to
 * the console; to programs, nothing is there.
 */
export const prepareAnswer: onRequestHookHandler = (request, reply, done) => {
  if (isOfConsole(request)) reply.headers(HEADERS)
  const { method, url, headers } = request
  if (method !== 'GET' || !/^\/(?:\?|$)/.test(url)) return done()
  if (headers.accept?.includes('text/html') !== true) return done()
  reply.headers(HEADERS).header('vary', 'Accept').redirect(ROOT, 302)
}

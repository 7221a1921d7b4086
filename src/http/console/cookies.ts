import { parseCookie, type SetCookie, stringifySetCookie } from 'cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { THEMES, type Theme } from './html/layout.ts'
import type { SessionCookie } from './session.ts'

/** What a person has chosen in this browser. */
export interface Preferences {
  readonly theme: Theme
  readonly times: 'utc' | 'local'
  readonly keys: boolean
}

const PREFERENCES = 'holdfast-preferences'
const YEAR_SECONDS = 31_536_000

const cookiesOf = ({ headers }: FastifyRequest) => parseCookie(headers.cookie ?? '')

/**
 * Whether the browser speaks https, with a proxy in front of the listener: then the cookie is never sent without it. Anybody may send
 * `X-Forwarded-Proto`, and has no use of it: the answer only decides how the cookie is set in the browser of the sender, and a browser
 * that does not speak https ignores a cookie that is `Secure`.
 */
const isHttps = ({ headers }: FastifyRequest): boolean =>
  /^\s*https\s*(?:,|$)/i.test(headers['x-forwarded-proto']?.toString() ?? '') ||
  headers.origin?.startsWith('https://') === true

/** Names of the session's cookie: browsers keep the first only from https. The port is in both, as hosts share cookies among their ports. */
function sessionNames({ headers }: FastifyRequest): { readonly secure: string; readonly plain: string } {
  const port = /:(\d{1,5})$/.exec(headers.host ?? '')?.[1]
  const name = port === undefined ? 'holdfast' : `holdfast-${port}`
  return { secure: `__Host-${name}`, plain: name }
}

export function sessionCookieOf(request: FastifyRequest): string | undefined {
  const cookies = cookiesOf(request)
  const { secure, plain } = sessionNames(request)
  return cookies[secure] ?? cookies[plain]
}

/** A session that has begun with https goes on with it, although not every request says so. */
export function setSession(
  request: FastifyRequest,
  reply: FastifyReply,
  { value, maxAgeSeconds }: SessionCookie,
): void {
  const { secure, plain } = sessionNames(request)
  const isSecure = isHttps(request) || cookiesOf(request)[secure] !== undefined
  set(reply, { name: isSecure ? secure : plain, value, maxAge: maxAgeSeconds, secure: isSecure })
}

export function endSession(request: FastifyRequest, reply: FastifyReply): void {
  const { secure, plain } = sessionNames(request)
  for (const name of [secure, plain]) {
    if (cookiesOf(request)[name] !== undefined) set(reply, { name, value: '', maxAge: 0, secure: name === secure })
  }
}

export function preferencesOf(request: FastifyRequest): Preferences {
  const [theme = '', times, keys] = (cookiesOf(request)[PREFERENCES] ?? '').split('.')
  return {
    theme: THEMES.find((each) => each === theme) ?? 'system',
    times: times === 'local' ? 'local' : 'utc',
    keys: keys !== 'off',
  }
}

export const setPreferences = (request: FastifyRequest, reply: FastifyReply, chosen: Preferences): void =>
  set(reply, {
    name: PREFERENCES,
    value: `${chosen.theme}.${chosen.times}.${chosen.keys ? 'on' : 'off'}`,
    maxAge: YEAR_SECONDS,
    secure: isHttps(request),
  })

function set(reply: FastifyReply, cookie: SetCookie): void {
  reply.header('set-cookie', stringifySetCookie({ ...cookie, path: '/', httpOnly: true, sameSite: 'strict' }))
}

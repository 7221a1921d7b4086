import { parseCookie, type SetCookie, stringifySetCookie } from 'cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { THEMES, type Theme } from './html/layout.ts'

/** What a person has chosen in this browser. */
export interface Preferences {
  readonly theme: Theme
  readonly times: 'utc' | 'local'
  readonly keys: boolean
}

const PREFERENCES = 'holdfast-preferences'
const YEAR_SECONDS = 31_536_000

/** Whether the browser speaks https, with a proxy in front of the listener: then the cookie is never sent without it. */
const isSecure = ({ headers }: FastifyRequest): boolean =>
  headers['x-forwarded-proto'] === 'https' || headers.origin?.startsWith('https://') === true

/** The port is in the name where the host is shared: cookies of one host are sent to all of its ports. */
const sessionName = (request: FastifyRequest): string =>
  isSecure(request) ? '__Host-holdfast' : `holdfast-${/:(\d{1,5})$/.exec(request.headers.host ?? '')?.[1] ?? '80'}`

const cookiesOf = ({ headers }: FastifyRequest) => parseCookie(headers.cookie ?? '')

export function sessionCookieOf(request: FastifyRequest): string | undefined {
  const cookies = cookiesOf(request)
  // A link from a page without https, or a request whose proxy says nothing.
  return cookies[sessionName(request)] ?? cookies['__Host-holdfast']
}

export const setSession = (request: FastifyRequest, reply: FastifyReply, value: string, maxAgeSeconds: number): void =>
  set(reply, { name: sessionName(request), value, maxAge: maxAgeSeconds, secure: isSecure(request) })

export const endSession = (request: FastifyRequest, reply: FastifyReply): void =>
  set(reply, { name: sessionName(request), value: '', maxAge: 0, secure: isSecure(request) })

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
    secure: isSecure(request),
  })

function set(reply: FastifyReply, cookie: SetCookie): void {
  reply.header('set-cookie', stringifySetCookie({ ...cookie, path: '/', httpOnly: true, sameSite: 'strict' }))
}

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Credential, OpsAccess } from '../ops/access.ts'

/** A person who has signed in, and what the cookie says of that. */
export interface Session {
  readonly credential: Credential
  readonly id: string
  /** The value of the field in the forms of this session. */
  readonly csrf: string
  /** Whether the cookie is due to be set again. */
  readonly isStale: boolean
  readonly startedAtMs: number
}

/** The value of a cookie, and how long the browser is to keep it. */
export interface SessionCookie {
  readonly value: string
  readonly maxAgeSeconds: number
}

/** A session ends after this time without a request, and in any case after `MAX_AGE_MS`. */
export const IDLE_MS = 30 * 60_000
export const MAX_AGE_MS = 12 * 3_600_000
/** The cookie is set again after this time, so that a session with requests goes on. */
const RENEW_MS = 60_000
/** Clocks of replicas differ. */
const SKEW_MS = 60_000
/** Ended sessions that a process remembers; the first ones are forgotten for further ones. */
const MAX_ENDED = 1_000

/** `<role>.<start>.<last use>.<id>.<signature>`; times in seconds. */
const COOKIE = /^(write|read)\.(\d{1,11})\.(\d{1,11})\.([\w-]{16})\.([\w-]{43})$/
const ROLES = { write: 'OPS_TOKEN', read: 'OPS_READ_TOKEN' } as const
type Role = keyof typeof ROLES

const roleOf = ({ actor }: Pick<Credential, 'actor'>): Role => (actor === 'OPS_TOKEN' ? 'write' : 'read')

/**
 * Sessions that no process keeps: the cookie is signed with a key that is made of the token. So it is valid at every replica, says
 * nothing of the token, and is void as soon as the token is not configured any more. Only ends are kept, in this process: a copy of the
 * cookie of an ended session is refused here, and is valid at other replicas until it expires.
 */
export function createSessions(access: () => OpsAccess, clock: () => number) {
  const ended = new EndedSessions(clock)
  /** Signs the forms of those who need not sign in. */
  const ownKey = randomBytes(32)

  const keysOf = (role: Role): readonly Buffer[] => {
    const { tokens, readTokens } = access()
    return (role === 'write' ? tokens : readTokens).map((token) => signed(token, 'console session'))
  }

  const keyOf = ({ actor, tokenPlace = 1 }: Credential): Buffer | undefined =>
    actor === 'loopback' ? ownKey : keysOf(roleOf({ actor }))[tokenPlace - 1]

  function cookieOf(credential: Credential, id: string, startedAtMs: number): SessionCookie | undefined {
    const key = keyOf(credential)
    if (key === undefined || credential.actor === 'loopback') return undefined
    const text = `${roleOf(credential)}.${Math.floor(startedAtMs / 1_000)}.${Math.floor(clock() / 1_000)}.${id}`
    const leftMs = Math.min(IDLE_MS, startedAtMs + MAX_AGE_MS - clock())
    return {
      value: `${text}.${signed(key, text).toString('base64url')}`,
      maxAgeSeconds: Math.max(0, Math.floor(leftMs / 1_000)),
    }
  }

  return {
    /** The cookie of a new session by this right; the place of the token is from 1. */
    begin: (credential: Credential): SessionCookie | undefined =>
      cookieOf(credential, randomBytes(12).toString('base64url'), clock()),

    /** The session of a cookie; undefined: it is none, or it is over. */
    read(cookie: string | undefined): Session | undefined {
      const [, role, start, last, id, signature] = COOKIE.exec(cookie ?? '') ?? []
      if ((role !== 'write' && role !== 'read') || id === undefined || signature === undefined) return undefined
      const text = `${role}.${start}.${last}.${id}`
      const keys = keysOf(role)
      const sent = Buffer.from(signature, 'base64url')
      const at = keys.findIndex((key) => timingSafeEqual(signed(key, text), sent))
      const key = keys[at]
      const [startedAtMs, usedAtMs, nowMs] = [Number(start) * 1_000, Number(last) * 1_000, clock()]
      const isOver = nowMs - usedAtMs > IDLE_MS || nowMs - startedAtMs > MAX_AGE_MS || usedAtMs - nowMs > SKEW_MS
      if (key === undefined || isOver || ended.has(id)) return undefined
      return {
        credential: { actor: ROLES[role], ...(keys.length > 1 && { tokenPlace: at + 1 }) },
        id,
        csrf: signed(key, `form ${id}`).toString('base64url'),
        isStale: nowMs - usedAtMs > RENEW_MS,
        startedAtMs,
      }
    },

    /** The cookie of a session that goes on. */
    renew: ({ credential, id, startedAtMs }: Session): SessionCookie | undefined =>
      cookieOf(credential, id, startedAtMs),

    /** Refuses the session in this process from now on, also to those who have copied its cookie. */
    end: (session: Session): void => ended.add(session),

    /** Calls the listener whenever a session has been ended in this process. */
    onEnd: (listener: () => void): void => ended.onAdded(listener),

    /** The value of the field in forms of those who come without a session: by a token in a header, or by loopback. */
    formKey: (credential: Credential): string | undefined => {
      const key = keyOf(credential)
      return key === undefined ? undefined : signed(key, 'form').toString('base64url')
    },
  }
}

export type Sessions = ReturnType<typeof createSessions>

class EndedSessions {
  readonly #clock: () => number
  /** Each until its cookie is over. */
  readonly #ids = new Map<string, number>()
  readonly #listeners: (() => void)[] = []

  constructor(clock: () => number) {
    this.#clock = clock
  }

  has = (id: string): boolean => this.#ids.has(id)

  onAdded(listener: () => void): void {
    this.#listeners.push(listener)
  }

  add({ id, startedAtMs }: Session): void {
    for (const [each, untilMs] of this.#ids) if (untilMs < this.#clock()) this.#ids.delete(each)
    const [first] = this.#ids.keys()
    if (this.#ids.size >= MAX_ENDED && first !== undefined) this.#ids.delete(first)
    this.#ids.set(id, startedAtMs + MAX_AGE_MS + SKEW_MS)
    for (const listener of this.#listeners) listener()
  }
}

const signed = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

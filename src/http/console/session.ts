import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Credential, OpsAccess } from '../ops/access.ts'

/** A person who has signed in, and what the cookie says of that. */
export interface Session {
  readonly credential: Credential
  /** The value of the field in the forms of this session. */
  readonly csrf: string
  /** Whether the cookie is due to be set again. */
  readonly isStale: boolean
  readonly startedAtMs: number
}

/** A session ends after this time without a request, and in any case after `MAX_AGE_MS`. */
export const IDLE_MS = 30 * 60_000
export const MAX_AGE_MS = 12 * 3_600_000
/** The cookie is set again after this time, so that a session with requests goes on. */
const RENEW_MS = 60_000
/** Clocks of replicas differ. */
const SKEW_MS = 60_000

/** `<role>.<start>.<last use>.<signature>`; times in seconds. */
const COOKIE = /^(write|read)\.(\d{1,11})\.(\d{1,11})\.([\w-]{43})$/
const ROLES = { write: 'OPS_TOKEN', read: 'OPS_READ_TOKEN' } as const
type Role = keyof typeof ROLES

/**
 * Sessions that no process keeps: the cookie is signed with a key that is made of the token. So it is valid at every replica, says
 * nothing of the token, and is void as soon as the token is not configured any more.
 */
export function createSessions(access: () => OpsAccess, clock: () => number) {
  const keysOf = (role: Role): readonly Buffer[] => {
    const { tokens, readTokens } = access()
    return (role === 'write' ? tokens : readTokens).map((token) => signed(token, 'console session'))
  }

  function cookieOf(role: Role, key: Buffer, startedAtMs: number): string {
    const text = `${role}.${Math.floor(startedAtMs / 1_000)}.${Math.floor(clock() / 1_000)}`
    return `${text}.${signed(key, text).toString('base64url')}`
  }

  return {
    /** The cookie of a new session by this right; the place of the token is from 1. */
    begin({ actor, tokenPlace = 1 }: Credential): string | undefined {
      const role: Role = actor === 'OPS_TOKEN' ? 'write' : 'read'
      const key = keysOf(role)[tokenPlace - 1]
      return key === undefined ? undefined : cookieOf(role, key, clock())
    },

    /** The session of a cookie; undefined: it is none, or it is over. */
    read(cookie: string | undefined): Session | undefined {
      const [, role, start, last, signature] = COOKIE.exec(cookie ?? '') ?? []
      if (cookie === undefined || (role !== 'write' && role !== 'read') || signature === undefined) return undefined
      const text = `${role}.${start}.${last}`
      const keys = keysOf(role)
      const sent = Buffer.from(signature, 'base64url')
      const at = keys.findIndex((key) => timingSafeEqual(signed(key, text), sent))
      const key = keys[at]
      const [startedAtMs, usedAtMs, nowMs] = [Number(start) * 1_000, Number(last) * 1_000, clock()]
      const isOver = nowMs - usedAtMs > IDLE_MS || nowMs - startedAtMs > MAX_AGE_MS || usedAtMs - nowMs > SKEW_MS
      if (key === undefined || isOver) return undefined
      return {
        credential: { actor: ROLES[role], ...(keys.length > 1 && { tokenPlace: at + 1 }) },
        csrf: signed(key, `form ${role}.${start}`).toString('base64url'),
        isStale: nowMs - usedAtMs > RENEW_MS,
        startedAtMs,
      }
    },

    /** The cookie of a session that goes on. */
    renew({ credential: { actor, tokenPlace = 1 }, startedAtMs }: Session): string | undefined {
      const role: Role = actor === 'OPS_TOKEN' ? 'write' : 'read'
      const key = keysOf(role)[tokenPlace - 1]
      return key === undefined ? undefined : cookieOf(role, key, startedAtMs)
    },
  }
}

export type Sessions = ReturnType<typeof createSessions>

const signed = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

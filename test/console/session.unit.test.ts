import type { FastifyReply, FastifyRequest } from 'fastify'
import { expect, test } from 'vitest'
import { setSession } from '../../src/http/console/cookies.ts'
import { delayWrong } from '../../src/http/console/pages/sign-in.ts'
import { createSessions } from '../../src/http/console/session.ts'
import type { OpsAccess } from '../../src/http/ops/access.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

function rig(given: Partial<OpsAccess> = {}) {
  const now = { ms: 1_700_000_000_000 }
  const access = {
    tokens: ['token-that-changes'],
    readTokens: ['token-that-reads'],
    host: 'localhost',
    allowedHosts: [],
    ...given,
  }
  const sessions = createSessions(
    () => access,
    () => now.ms,
  )
  const begin = (actor: 'OPS_TOKEN' | 'OPS_READ_TOKEN' = 'OPS_TOKEN', tokenPlace = 1) =>
    sessions.begin({ actor, tokenPlace })?.value ?? ''
  return { now, access, sessions, begin }
}

test('a session ends after half an hour without a request, and each request keeps it for another one', () => {
  const { now, sessions, begin } = rig()
  const idle = begin()
  let used = begin()
  for (let minute = 0; minute < 60; minute += 20) {
    now.ms += 20 * MINUTE_MS
    const session = sessions.read(used)
    used = session === undefined ? '' : (sessions.renew(session)?.value ?? '')
  }
  expect(sessions.read(used)).toBeDefined()
  expect(sessions.read(idle)).toBeUndefined()
})

test('a session ends after twelve hours, however much it is used, and its cookie is never kept for longer', () => {
  const { now, sessions, begin } = rig()
  let cookie = begin()
  const ages: number[] = []
  for (let minutes = 0; minutes < 13 * 60; minutes += 10) {
    const session = sessions.read(cookie)
    if (session === undefined) break
    const next = sessions.renew(session)
    cookie = next?.value ?? ''
    ages.push((next?.maxAgeSeconds ?? 0) / 60)
    now.ms += 10 * MINUTE_MS
  }
  expect(sessions.read(cookie)).toBeUndefined()
  expect(ages.length).toBe(73)
  expect(ages.slice(-5)).toEqual([30, 30, 20, 10, 0])
})

test('a cookie is signed: one whose role, times or id were changed is refused, and another token does not read it', () => {
  const { sessions, begin, now } = rig()
  const cookie = begin('OPS_READ_TOKEN')
  const [role, start, last, id, signature] = cookie.split('.')
  expect(sessions.read(cookie)?.credential).toEqual({ actor: 'OPS_READ_TOKEN' })
  const later = String(Number(last) + 60)
  for (const changed of [
    ['write', start, last, id, signature],
    [role, later, last, id, signature],
    [role, start, later, id, signature],
    [role, start, last, `${id?.slice(1)}A`, signature],
    [role, start, last, id, `${signature?.slice(1)}A`],
    [role, start, last, id],
    [role, start, last, id, signature, ''],
  ])
    expect(sessions.read(changed.join('.')), changed.join('.')).toBeUndefined()
  const other = rig({ readTokens: ['another-token-that-reads'] })
  other.now.ms = now.ms
  expect(other.sessions.read(cookie)).toBeUndefined()
  for (const nothing of [undefined, '', 'x', '__proto__']) expect(sessions.read(nothing)).toBeUndefined()
})

test('a session is of its token among several, wherever that stands', () => {
  const { access, sessions, begin } = rig({ tokens: ['new-token-of-ops', 'old-token-of-ops'] })
  const cookie = begin('OPS_TOKEN', 2)
  expect(sessions.read(cookie)?.credential).toEqual({ actor: 'OPS_TOKEN', tokenPlace: 2 })
  access.tokens = ['old-token-of-ops']
  expect(sessions.read(cookie)?.credential).toEqual({ actor: 'OPS_TOKEN' })
  access.tokens = ['new-token-of-ops']
  expect(sessions.read(cookie)).toBeUndefined()
})

test('sessions that have ended are remembered, a bounded number of them, and others go on', () => {
  const { now, sessions, begin } = rig()
  const cookies = Array.from({ length: 1_001 }, () => begin())
  const other = begin()
  for (const cookie of cookies) {
    const session = sessions.read(cookie)
    if (session !== undefined) sessions.end(session)
  }
  expect(cookies.slice(1).filter((cookie) => sessions.read(cookie) !== undefined)).toEqual([])
  expect(sessions.read(other)).toBeDefined()
  expect(sessions.read(cookies[0])).toBeDefined()
  now.ms += 13 * HOUR_MS
  expect(sessions.read(cookies[0])).toBeUndefined()
})

test('the field in forms differs by session, by right and by process, and says nothing of the token', () => {
  const { sessions, begin } = rig()
  const fields = [
    sessions.read(begin())?.csrf,
    sessions.read(begin())?.csrf,
    sessions.read(begin('OPS_READ_TOKEN'))?.csrf,
    sessions.formKey({ actor: 'OPS_TOKEN' }),
    sessions.formKey({ actor: 'OPS_READ_TOKEN' }),
    sessions.formKey({ actor: 'loopback' }),
    rig().sessions.formKey({ actor: 'loopback' }),
  ]
  expect(new Set(fields).size).toBe(fields.length)
  for (const field of fields) expect(field).toMatch(/^[\w-]{43}$/)
  expect(sessions.begin({ actor: 'loopback' })).toBeUndefined()
})

test('the answer to each further wrong token waits twice as long, up to a bound, until none came for a while', async () => {
  const now = { ms: 0 }
  const waits: number[] = []
  const wrong = delayWrong(
    () => now.ms,
    async (ms) => void waits.push(ms),
  )
  for (let count = 0; count < 7; count++) await wrong()
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000])
  now.ms += 6 * MINUTE_MS
  await wrong()
  expect(waits.at(-1)).toBe(1_000)
})

test('a bounded number of answers to wrong tokens wait, and further ones are given at once', async () => {
  const go = Promise.withResolvers<void>()
  const wrong = delayWrong(
    () => 0,
    () => go.promise,
  )
  const waiting = Array.from({ length: 16 }, () => wrong())
  expect(await wrong()).toBe(false)
  go.resolve()
  expect(await Promise.all(waiting)).toEqual(Array.from({ length: 16 }, () => true))
  expect(await wrong()).toBe(true)
})

test('the cookie of a session that has begun with https is only set again for https, although a request may not say so', () => {
  const cookies: unknown[] = []
  const reply = { header: (_: string, cookie: string) => cookies.push(cookie) } as unknown as FastifyReply
  const request = (headers: Record<string, string>) => ({ headers }) as unknown as FastifyRequest
  const set = (headers: Record<string, string>) =>
    setSession(request(headers), reply, { value: 'new', maxAgeSeconds: 60 })
  set({ host: 'ops.example', cookie: '__Host-holdfast=old' })
  set({ host: 'ops.example', 'x-forwarded-proto': 'https, http' })
  set({ host: 'ops.example:8081', 'x-forwarded-proto': 'http', cookie: 'holdfast-8081=old' })
  expect(cookies).toEqual([
    '__Host-holdfast=new; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Strict',
    '__Host-holdfast=new; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Strict',
    'holdfast-8081=new; Max-Age=60; Path=/; HttpOnly; SameSite=Strict',
  ])
})

import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { createAuditTrail } from '../../src/app/audit.ts'
import { newUid } from '../../src/domain/names.ts'
import type { AuditEntryJson } from '../../src/http/schemas/audit.ts'
import { detailOf, event, opsAccess, startOps } from './ops-service.ts'

const TOKENS = ['correct-horse-battery-staple', 'the-one-before-that']
const READ = 'only-looking-around-here'
const access = opsAccess({ tokens: TOKENS, readTokens: [READ] })

async function start() {
  const ops = await startOps({ access })
  const ask = (path: string, init: RequestInit & { token?: string; user?: string } = {}) =>
    ops.get(path, {
      ...init,
      headers: {
        authorization: `Bearer ${init.token ?? TOKENS[0]}`,
        'user-agent': 'a test',
        ...(init.user !== undefined && { 'x-holdfast-user': init.user }),
        ...(init.body !== undefined && { 'content-type': 'application/json' }),
      },
    })
  const audit = async (query = ''): Promise<readonly AuditEntryJson[]> =>
    ((await (await ask(`/v1/audit${query}`, { token: READ })).json()) as { items: AuditEntryJson[] }).items
  return { ...ops, ask, audit }
}

describe('a change over the ops API', () => {
  test('is in the audit by the time its answer arrives: who, when, from where, what, how many', async () => {
    const { ask, audit, store } = await start()
    const { uid } = await store.append(event({ status: 'unhandled', handlers: [] }))
    const before = Date.now()
    expect(
      (await ask(`/v1/events/${uid}/replay`, { method: 'POST', user: 'alice', token: TOKENS[1] ?? '' })).status,
    ).toBe(202)
    expect(await audit()).toEqual([
      {
        id: expect.any(Number),
        at: expect.any(String),
        action: 'event.replay',
        target: uid,
        count: 1,
        outcome: 'done',
        status: 202,
        reason: null,
        actor: 'OPS_TOKEN',
        token_place: 2,
        claimed_name: 'alice',
        peer: '127.0.0.1',
        agent: 'a test',
      },
    ])
    expect(Date.parse((await audit())[0]?.at ?? '')).toBeGreaterThanOrEqual(before)
  })

  test('that fails is in the audit with the reason; one that is not valid or not allowed is not', async () => {
    const { ask, audit } = await start()
    const uid = newUid()
    expect((await ask(`/v1/events/${uid}/replay`, { method: 'POST' })).status).toBe(404)
    expect((await ask(`/v1/events/${uid}/replay`, { method: 'POST', body: '{"handlr":"a"}' })).status).toBe(400)
    expect((await ask(`/v1/events/${uid}/replay`, { method: 'POST', token: READ })).status).toBe(403)
    expect((await ask(`/v1/events/${uid}/replay`, { method: 'POST', token: 'wrong' })).status).toBe(401)
    expect(await audit()).toMatchObject([
      { action: 'event.replay', target: uid, outcome: 'failed', status: 404, reason: 'event-not-found', count: null },
    ])
  })

  test('is not in the audit where nothing was left to change: the index of payloads is complete', async () => {
    const { ask, audit } = await start()
    expect((await ask('/v1/payload-index/continue', { method: 'POST' })).status).toBe(200)
    expect(await audit()).toEqual([])
  })

  test('records the name that its client claims in one bounded line', async () => {
    const { ask, audit } = await start()
    await ask(`/v1/events/${newUid()}/replay`, { method: 'POST', user: `a\tb${'c'.repeat(100)}` })
    const [entry] = await audit()
    expect(entry?.claimed_name).toBe(`a b${'c'.repeat(60)}…`)
    for (const encoding of ['utf8', 'latin1'] as const) {
      const user = Buffer.from('Jürgen', encoding).toString('latin1')
      await ask(`/v1/events/${newUid()}/replay`, { method: 'POST', user })
      expect((await audit())[0]?.claimed_name).toBe('Jürgen')
    }
  })

  test('is done, answered and logged even if it cannot be recorded', async () => {
    const lines: Record<string, unknown>[] = []
    const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) })
    const full = { record: () => Promise.reject(new Error('the disk is full')) }
    const { get, store } = await startOps({ audit: createAuditTrail(full, log) })
    const { uid } = await store.append(event({ handlers: [] }))
    expect((await get(`/v1/events/${uid}/replay`, { method: 'POST' })).status).toBe(202)
    expect(lines).toMatchObject([
      { action: 'event.replay', target: uid, count: 1, actor: 'loopback', peer: '127.0.0.1' },
      { level: 50, error: 'the disk is full' },
    ])
  })
})

describe('GET /v1/audit', () => {
  test('is filtered and paged, newest first', async () => {
    const { ask, audit, store } = await start()
    for (const user of ['alice', 'bob', 'alice']) {
      const { uid } = await store.append(event())
      await ask(`/v1/events/${uid}/replay`, { method: 'POST', user })
    }
    await store.audit.record({ action: 'service.reload', outcome: 'done', actor: 'signal' })
    expect((await audit()).map(({ claimed_name, actor }) => claimed_name ?? actor)).toEqual([
      'signal',
      'alice',
      'bob',
      'alice',
    ])
    expect(await audit('?actor=alice')).toHaveLength(2)
    expect(await audit('?actor=signal&action=service.*')).toHaveLength(1)
    expect(await audit('?until=2020-01-01T00:00:00Z')).toEqual([])
    const page = (await (await ask('/v1/audit?limit=3')).json()) as { items: unknown[]; next_cursor: string }
    expect(page.items).toHaveLength(3)
    expect(await audit(`?cursor=${page.next_cursor}`)).toHaveLength(1)
  })

  test.each(['limit=0', 'cursor=x', 'since=yesterday', 'actor=%00', 'action=a%00*', 'colour=red'])(
    'with ?%s gets 400',
    async (query) => {
      const { ask } = await start()
      await detailOf(await ask(`/v1/audit?${query}`), 400)
    },
  )
})

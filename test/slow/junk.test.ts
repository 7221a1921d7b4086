import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { converse, rawRequest, signatureOf } from '../support/raw-http.ts'
import { type Service, startService } from '../support/service.ts'
import { BODY_LIMIT_BYTES, bodies, tooLarge } from './junk/bodies.ts'
import { junkBodies, mutations } from './junk/mutations.ts'
import { requests, SMUGGLED_ID } from './junk/requests.ts'

/** Of the requests that are made up; another seed makes others. */
const SEED = 20_261_123
const MUTATED_REQUESTS = 4_000
const MADE_UP_BODIES = 2_000
const SENDERS = 24
/** How much the process may grow by all the junk of one test, once it is warm. */
const MAX_GROWTH_BYTES = 96 * 1_048_576

const portOf = ({ publicUrl }: Service): number => Number(new URL(publicUrl).port)

/** Works through everything with a few at a time. */
async function each<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: SENDERS }, worker))
}

async function residentBytes({ opsUrl }: Service): Promise<number> {
  const metrics = await (await fetch(`${opsUrl}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1])
}

async function storedBytes({ opsUrl }: Service, uid: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(`${opsUrl}/v1/events/${uid}/body`)).arrayBuffer())
}

/** Nothing of what was sent cost more than its own answer: the service goes on as if nothing had been. */
async function expectUnharmed(service: Service): Promise<void> {
  expect(await post(service.publicUrl, signedEvent('junk.after'))).toMatchObject({ status: 200, duplicate: false })
  expect((await fetch(`${service.publicUrl}/readyz`)).status).toBe(200)
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text()
  expect(metrics).toContain('holdfast_requests_total{')
  expect(metrics).not.toMatch(/holdfast_requests_total\{[^}]*outcome="(?:error|unavailable)"/)
  expect(await service.stop()).toBe(0)
  expect(service.logs.filter(({ level }) => Number(level) >= 50)).toEqual([])
}

test('a signed body of any kind is stored byte for byte, and the same body without a signature gets 401 and is not stored', async () => {
  const service = await startService()
  const send = (body: Uint8Array, headers: Record<string, string>) =>
    fetch(`${service.publicUrl}/v1/webhooks/ai`, { method: 'POST', headers, body: Uint8Array.from(body) })

  for (const [what, body, kept] of bodies) {
    expect((await send(body, {})).status, what).toBe(401)
    const answer = await send(body, signatureOf(body))
    const { uid } = (await answer.json()) as { uid: string }
    expect([answer.status, (await service.api(`/v1/events/${uid}`)).status], what).toEqual([200, kept])
    expect((await storedBytes(service, uid)).equals(body), what).toBe(true)
  }
  for (const headers of [{}, signatureOf(tooLarge)]) expect((await send(tooLarge, headers)).status).toBe(413)
  const { items } = await service.api('/v1/events?limit=200')
  expect(items).toHaveLength(bodies.length)
  await expectUnharmed(service)
})

test('a request of any kind, signed or not, gets exactly one answer of the contract, and the next request is served', async () => {
  const service = await startService()
  const answers: string[] = []
  const expected: string[] = []
  for (const [what, request, status, unsigned] of requests) {
    for (const signed of [true, false]) {
      const { statuses, text } = await converse(portOf(service), [request(signed)])
      const allowed = signed ? [status] : unsigned
      const told = allowed.find((each) => each === statuses[0]) ?? status
      const isProblem = /^content-type: application\/problem\+json\r$/im.test(text)
      expected.push(`${what}: ${told}${told === 200 ? '' : ' problem'}`)
      answers.push(`${what}: ${statuses.join()}${isProblem ? ' problem' : ''}`)
    }
  }
  expect(answers).toEqual(expected)
  const ids = ((await service.api('/v1/events?limit=200')).items as { id: string }[]).map(({ id }) => id)
  expect(ids).toEqual(['evt_junk_request'])
  expect(ids).not.toContain(SMUGGLED_ID)
  await expectUnharmed(service)
})

test('pipelined requests are answered in order, and the junk after them last', async () => {
  const service = await startService()
  const stays = (id: string): Buffer => {
    const body = Buffer.from(`{"id":"${id}","type":"junk.pipelined","data":{}}`)
    return rawRequest({ bare: true, lines: ['Host: localhost'], body, signed: true })
  }
  const ids = Array.from({ length: 50 }, (_, n) => `evt_${n}`)
  const { statuses } = await converse(portOf(service), [
    Buffer.concat([...ids.map(stays), Buffer.from('junk\r\n\r\n')]),
  ])
  expect(statuses).toEqual([...ids.map(() => 200), 400])
  const { items } = (await service.api('/v1/events?limit=200')) as { items: { id: string }[] }
  expect(items.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
  await expectUnharmed(service)
})

/** What is needed for a body to be read at all. */
const SEEMS_SIGNED = ['webhook-id: a', 'webhook-timestamp: 1', 'webhook-signature: v1,AAAA']

test('a slow sender is waited for until its time is up, half a request gets 408, and ten thousand tiny writes get 200', async () => {
  const service = await startService()
  const patient = { silenceMs: 18_000 }
  const body = Buffer.from(`{"id":"evt_slow","type":"junk.slow","data":{"fill":"${'x'.repeat(10_000)}"}}`)
  const whole = rawRequest({ body, signed: true })
  const chunked = rawRequest({ framed: false, lines: [...SEEMS_SIGNED, 'Transfer-Encoding: chunked'] })
  async function* trickle(request: Buffer, bytes: number, pauseMs: number) {
    for (let at = 0; at < request.length; at += bytes) {
      yield request.subarray(at, at + bytes)
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }
  async function* drip() {
    yield chunked
    for (let n = 0; n < 40; n++) {
      yield Buffer.from('1\r\na\r\n')
      await sleep(500)
    }
  }
  const talk = async (parts: Parameters<typeof converse>[1]) =>
    (await converse(portOf(service), parts, patient)).statuses.join()
  expect(
    await Promise.all([
      talk(trickle(whole, 1, 0)),
      talk(trickle(whole, 200, 100)),
      talk([whole.subarray(0, -1)]),
      talk([whole.subarray(0, 60)]),
      talk([chunked, Buffer.from('5\r\nhel')]),
      talk(drip()),
    ]),
  ).toEqual(['200', '200', '408', '408', '408', '408'])
  const { items } = (await service.api('/v1/events')) as { items: { id: string }[] }
  expect(items.map(({ id }) => id)).toEqual(['evt_slow'])
  await expectUnharmed(service)
})

test('memory grows with the bytes that arrive, not with their number of pieces, and past its bound the service answers 503', async () => {
  const service = await startService()
  await post(service.publicUrl, signedEvent('junk.before'))
  const before = await residentBytes(service)
  const chunked = rawRequest({ framed: false, lines: [...SEEMS_SIGNED, 'Transfer-Encoding: chunked'] })
  const pieces = Buffer.from('1\r\na\r\n'.repeat(10_000))
  const manyPieces = [chunked, ...Array.from({ length: 40 }, () => pieces), Buffer.from('0\r\n\r\n')]
  const talks = Array.from({ length: 2 }, () => converse(portOf(service), manyPieces, { silenceMs: 10_000 }))
  expect((await Promise.all(talks)).map(({ statuses }) => statuses.join())).toEqual(['400', '400'])
  expect((await residentBytes(service)) - before).toBeLessThan(MAX_GROWTH_BYTES)

  const half = [
    rawRequest({ framed: false, lines: [...SEEMS_SIGNED, `Content-Length: ${BODY_LIMIT_BYTES}`] }),
    Buffer.alloc(1_000_000),
  ]
  const halves = await Promise.all(
    Array.from({ length: 200 }, () => converse(portOf(service), half, { silenceMs: 2_000 })),
  )
  const statuses = halves.map(({ statuses: own }) => own.join())
  expect(new Set(statuses)).toEqual(new Set(['400', '503']))
  expect(statuses.filter((status) => status === '400').length).toBeGreaterThan(100)
  expect(await post(service.publicUrl, signedEvent('junk.after'))).toMatchObject({ status: 200 })
  expect(await service.stop()).toBe(0)
})

test(`${MUTATED_REQUESTS} changed copies of one signed request never get 5xx, and never become another event`, async () => {
  const service = await startService()
  const body = Buffer.from('{"id":"evt_original","type":"junk.original","data":{"text":"as it was"}}')
  expect((await converse(portOf(service), [rawRequest({ body, signed: true })])).statuses).toEqual([200])
  const counts = new Map<number, number>()
  const send = async (mutate: (bytes: Buffer) => Buffer): Promise<void> => {
    const request = mutate(rawRequest({ body, signed: true, lines: ['Content-Type: application/json'] }))
    const { statuses } = await converse(portOf(service), [request], { silenceMs: 60 })
    for (const status of statuses) {
      counts.set(status, (counts.get(status) ?? 0) + 1)
      expect(status, JSON.stringify(request.toString('latin1'))).toBeLessThan(500)
    }
  }
  const all = fc.sample(mutations, { seed: SEED, numRuns: MUTATED_REQUESTS })
  await each(all.slice(0, all.length / 4), send)
  const warm = await residentBytes(service)
  await each(all.slice(all.length / 4), send)
  const growth = (await residentBytes(service)) - warm
  console.log('answers:', Object.fromEntries(counts), 'growth in MiB:', Math.round(growth / 1_048_576))
  for (const status of [200, 400, 401]) expect(counts.get(status), String(status)).toBeGreaterThan(100)
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES)
  const { items } = (await service.api('/v1/events')) as { items: { id: string; uid: string }[] }
  expect(items.map(({ id }) => id)).toEqual(['evt_original'])
  expect((await storedBytes(service, items[0]?.uid ?? '')).equals(body)).toBe(true)
  await expectUnharmed(service)
})

test(`${MADE_UP_BODIES} random bodies, each signed, are all acknowledged and stored byte for byte`, async () => {
  const service = await startService()
  const all = fc.sample(junkBodies, { seed: SEED, numRuns: MADE_UP_BODIES })
  const statuses = new Map<string, number>()
  await each(all, async (body) => {
    const headers = signatureOf(body)
    const answer = await fetch(`${service.publicUrl}/v1/webhooks/ai`, {
      method: 'POST',
      headers,
      body: Uint8Array.from(body),
    })
    expect(answer.status, JSON.stringify(body.toString('latin1'))).toBe(200)
    const { uid } = (await answer.json()) as { uid: string }
    expect((await storedBytes(service, uid)).equals(body), uid).toBe(true)
    const { status } = await service.api(`/v1/events/${uid}`)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  })
  console.log('events:', Object.fromEntries(statuses))
  for (const status of ['unhandled', 'quarantined', 'conflict']) expect(statuses.get(status), status).toBeGreaterThan(0)
  await expectUnharmed(service)
})

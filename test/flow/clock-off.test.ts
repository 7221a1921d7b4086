import { expect, test } from 'vitest'
import { startLocal } from '../support/local-service.ts'
import { signatureOf } from '../support/raw-http.ts'

const MINUTE = 60_000
let bodies = 0

/** A request with a body of its own, signed so long ago. */
function signed(ageMs = 0): RequestInit {
  const body = JSON.stringify({ type: 'no.such', data: { body: ++bodies } })
  const headers = signatureOf(Buffer.from(body), undefined, Date.now() - ageMs)
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }
}

const send = (publicUrl: string, request = signed()): Promise<Response> => fetch(`${publicUrl}/v1/webhooks/ai`, request)

test('a service whose clock is off answers signed requests with 503 until its clock is set right', async () => {
  let offMs = 10 * MINUTE
  const service = await startLocal({}, { tuning: { clock: () => Date.now() + offMs } })
  const { publicUrl, opsUrl, logs } = service
  const metric = async () =>
    (await (await fetch(`${opsUrl}/metrics`)).text()).match(/^holdfast_clock_off_seconds (\S+)$/m)?.[1]
  expect(await metric()).toBe('0')
  const statuses: number[] = []
  for (let at = 0; at < 6; at++) statuses.push((await send(publicUrl)).status)
  expect(statuses).toEqual([401, 401, 401, 401, 503, 503])
  const answer = await send(publicUrl)
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])

  const ready = await fetch(`${publicUrl}/readyz`)
  expect(ready.status).toBe(503)
  expect(await ready.json()).toMatchObject({ reasons: ['the clock of this service is off'] })
  expect(JSON.stringify(await (await fetch(`${opsUrl}/readyz`)).json())).toMatch(/is (599|600|601) s ahead of/)
  expect(Number(await metric())).toBeCloseTo(600, -1)
  expect(logs.filter(({ msg }) => String(msg).startsWith('the clock of this service is off'))).toHaveLength(1)

  offMs = 0
  expect((await fetch(`${publicUrl}/readyz`)).status).toBe(200)
  expect((await send(publicUrl)).status).toBe(200)
  expect(await metric()).toBe('0')
})

test('the service answers replays of old signed requests with 401 and stays ready', async () => {
  let offMs = 0
  const { publicUrl } = await startLocal({}, { tuning: { clock: () => Date.now() + offMs } })
  const recorded = signed()
  expect((await send(publicUrl)).status).toBe(200)
  const old = Array.from({ length: 20 }, () => signed(30 * MINUTE))
  const statuses = await Promise.all([...old, ...old].map(async (each) => (await send(publicUrl, each)).status))
  expect(new Set(statuses)).toEqual(new Set([401]))
  expect((await fetch(`${publicUrl}/readyz`)).status).toBe(200)
  expect((await send(publicUrl)).status).toBe(200)

  // Where the clock itself was set, the very same requests tell.
  offMs = 30 * MINUTE
  expect((await send(publicUrl, recorded)).status).toBe(503)
  expect((await fetch(`${publicUrl}/readyz`)).status).toBe(503)
})

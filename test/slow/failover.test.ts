import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type Relay, startRelay } from '../support/postgres/relay.ts'
import { queryIn } from '../support/postgres/schema.ts'
import type { PostgresServer } from '../support/postgres/server.ts'
import { type ReplicatedPostgres, startWithStandby } from '../support/postgres/standby.ts'
import { acceptedTwice, hasExited, missing, PROBES, readiness, startReplicas } from '../support/replicas.ts'
import { startSenders } from '../support/senders.ts'
import type { Service } from '../support/service.ts'

let pair: ReplicatedPostgres
let relay: Relay
beforeEach(async () => {
  pair = await startWithStandby()
  onTestFinished(() => pair.remove())
  relay = await startRelay(pair.primary.port)
  onTestFinished(() => relay.close())
})

const behindRelay = (): string => pair.primary.url.replace(`:${pair.primary.port}/`, `:${relay.port}/`)

async function until(service: Service, status: number, withinMs: number): Promise<readonly string[]> {
  const { reasons } = await eventually(
    () => readiness(service),
    (answer) => answer.status === status,
    withinMs,
  )
  return reasons
}

/** Leads the replicas, whose connections break, to another server. */
async function lead(to: PostgresServer): Promise<void> {
  await relay.cut()
  relay.pointTo(to.port)
  await relay.resume()
}

test('when the primary dies under load and its standby is promoted, nothing acknowledged is lost, and the replicas go on by themselves', async () => {
  const replicas = await startReplicas(behindRelay(), 2)
  const senders = startSenders(replicas.urls, { count: 16, types: Object.values(PROBES) })
  const acked = (count: number) =>
    eventually(
      async () => senders.ledger.size,
      (size) => size >= count,
      60_000,
    )
  await acked(1_000)
  await pair.primary.kill()
  const killedAt = performance.now()
  await Promise.all(replicas.services.map((service) => until(service, 503, 10_000)))
  const before = senders.ledger.size
  await pair.promote()
  relay.pointTo(pair.standby.port)
  const promotedAt = performance.now()
  await Promise.all(replicas.services.map((service) => until(service, 200, 10_000)))
  const readyAt = performance.now()
  await acked(before + 500)
  await senders.stop()

  const firsts = replicas.urls().map((url) => {
    const first = senders.answers.find(
      ({ target, status, answeredAtMs }) => target === url && status === 200 && answeredAtMs > promotedAt,
    )
    return Math.round((first?.answeredAtMs ?? Infinity) - promotedAt)
  })
  const between = senders.answers.filter(
    ({ status, sentAtMs, answeredAtMs }) => status === 200 && sentAtMs > killedAt && answeredAtMs < promotedAt,
  )
  console.log(
    `failover: ${senders.ledger.size} acknowledged, ${before} of them before; first acknowledgement of each replica ${firsts.join(' and ')} ms after the promotion, ready after ${Math.round(readyAt - promotedAt)} ms`,
  )
  expect(between).toEqual([])
  for (const ms of firsts) expect(ms).toBeLessThan(10_000)
  expect(await missing(pair.standby.url, senders.ledger)).toEqual([])
  expect(await acceptedTwice(pair.standby.url)).toEqual([])
  expect(senders.contradictions).toEqual([])
  expect(replicas.services.filter(hasExited)).toEqual([])
})

/** Of appends whose commit waits for the standby. */
const CANCEL_APPENDS = `
  SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'holdfast append'
`

async function cancelAppends(): Promise<void> {
  await eventually(
    () => pair.primary.query(CANCEL_APPENDS),
    ({ length }) => length > 0,
    4_000,
  )
}

/** Two replicas, and an event that the primary has and its standby, which is away, has not. */
async function committedAlone() {
  // A role may have been told to keep warnings to itself.
  await pair.primary.query('ALTER ROLE holdfast SET client_min_messages = error')
  const replicas = await startReplicas(behindRelay(), 2)
  const [first, second] = replicas.services
  if (first === undefined || second === undefined) throw new Error('two were started')
  const event = signedEvent(PROBES.steady)
  await pair.standby.kill()
  const answer = post(first.publicUrl, event)
  await cancelAppends()
  return { replicas, first, second, event, answer: await answer }
}

const storedAlone = (server: PostgresServer, id: string): Promise<object[]> =>
  queryIn(server.url, 'SELECT uid FROM event WHERE id = $1', [id])

test('neither a commit that only the primary has nor its duplicate is acknowledged until the standby has it', async () => {
  const { replicas, second, event, answer } = await committedAlone()
  expect(answer.status).toBe(503)
  const [stored] = await storedAlone(pair.primary, event.id)
  expect(stored).toBeDefined()

  // This one has not noticed anything yet: it finds the event known, and must not vouch for it.
  const again = post(second.publicUrl, event)
  await cancelAppends()
  expect((await again).status).toBe(503)
  for (const service of replicas.services) {
    expect(await until(service, 503, 10_000)).not.toEqual([])
    expect((await post(service.publicUrl, event)).status).toBe(503)
  }

  await pair.standby.start()
  const backAt = performance.now()
  await pair.synchronous()
  for (const service of replicas.services) {
    await until(service, 200, 10_000)
    expect(await post(service.publicUrl, event)).toMatchObject({ status: 200, duplicate: true, ...stored })
  }
  console.log(`standby back: acknowledged by both after ${Math.round(performance.now() - backAt)} ms`)
  await pair.primary.kill()
  await pair.promote()
  expect(await storedAlone(pair.standby, event.id)).toEqual([stored])
  expect(replicas.services.filter(hasExited)).toEqual([])
})

test('a commit whose standby does not answer is given up and not acknowledged', async () => {
  const replicas = await startReplicas(behindRelay(), 1)
  const [service] = replicas.services
  if (service === undefined) throw new Error('one was started')
  const event = signedEvent(PROBES.steady)
  await pair.standby.kill()
  const answer = await post(service.publicUrl, event)
  console.log(`standby away: answered ${answer.status} after ${Math.round(answer.ms)} ms`)
  expect(answer.status).toBe(503)
  expect(answer.ms).toBeLessThan(15_000)
  expect(await until(service, 503, 10_000)).not.toEqual([])
  await expectNoPile()

  await pair.standby.start()
  await until(service, 200, 10_000)
  expect((await post(service.publicUrl, event)).status).toBe(200)
  expect(hasExited(service)).toBe(false)
})

/** What was given up does not wait on at the server, in one connection after the other. */
async function expectNoPile(): Promise<void> {
  const seen = new Set<number>()
  const probes = "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast probe'"
  await eventually(
    async () => {
      const rows = await pair.primary.query<{ pid: number }>(probes)
      for (const { pid } of rows) seen.add(pid)
      expect(rows.length).toBeLessThan(3)
      return seen.size
    },
    (size) => size >= 3,
    30_000,
  )
}

test('a replica that is connected to a standby takes no events and says why, and recovers once it is connected to the primary', async () => {
  const replicas = await startReplicas(behindRelay(), 1)
  const [service] = replicas.services
  if (service === undefined) throw new Error('one was started')
  expect((await post(service.publicUrl, signedEvent(PROBES.steady))).status).toBe(200)
  await lead(pair.standby)
  expect((await post(service.publicUrl, signedEvent(PROBES.steady))).status).toBe(503)
  await eventually(
    () => readiness(service),
    ({ status, reasons }) => status === 503 && reasons.some((reason) => reason.includes('is a standby')),
  )
  await lead(pair.primary)
  await until(service, 200, 10_000)
  expect((await post(service.publicUrl, signedEvent(PROBES.steady))).status).toBe(200)
  expect(hasExited(service)).toBe(false)
})

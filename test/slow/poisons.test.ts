import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import {
  deliveriesOf,
  isOver,
  outcomeOf,
  type Parcel,
  type Posted,
  postBurst,
  postParcel,
  startTrickle,
} from './poisons/innocents.ts'
import { hasEnded, type PoisonedService, startPoisoned } from './poisons/poisoned-service.ts'
import { type Poison, poisons } from './poisons/poisons.ts'
import { HEAD, type Observed, rowOf, says, tally, warns } from './poisons/report.ts'

/**
 * Whatever a handler does, the service lives, acknowledges at once and handles everything else in time. Each poison works
 * alone, beside a trickle of innocents, and then forty of it among a thousand of them.
 */
const INNOCENTS = 1_000
const POISONS = 40
const TIMEOUT_MS = 2_000
const GRACE_MS = 3_000
const HANDLER_MEMORY_MB = 256

const ENVIRONMENT = {
  HANDLER_TIMEOUT_MS: String(TIMEOUT_MS),
  HANDLER_MEMORY_MB: String(HANDLER_MEMORY_MB),
  RETRY_MAX_ATTEMPTS: '2',
  RETRY_BASE_MS: '50',
  SHUTDOWN_GRACE_MS: String(GRACE_MS),
}

/** Time that the trickle goes on beside a burst: the first culprits are found in it, and the next ones at work. */
const TRICKLE_FOR_MS = 4_000
/** After the end of a lone poison, for what it has done to be felt by those that come later. */
const AFTERMATH_MS = 1_000
/** For the service to say that it lives. */
const MAX_ANSWER_MS = 5_000
/** For the poison's own deliveries to end, when it is alone: two attempts past their deadlines, and what waits between. */
const MAX_POISON_MS = 30_000
/** Past this, innocents that have not ended are given up. */
const MAX_WAIT_MS = 60_000

/** What a machine that is shared may add to all of this. */
const SLACK_MS = 5_000
/** Past what holds up the sender: a machine that does so holds up the service, too. */
const MAX_ACK_ALONE_MS = 250
const MAX_ACK_BURST_MS = 2_000
/** The deadline, a second to find the culprit, and two. */
const MAX_INNOCENT_MS = TIMEOUT_MS + 1_000 + 2_000 + SLACK_MS
/**
 * Of the very handler that the culprits have: nothing tells the two apart before they run, each culprit costs a process, and
 * the machine starts a few of those a second.
 */
const MAX_SAME_HANDLER_MS = 60_000
/** The service, its processes with what they overshoot between two looks at them, and those started ahead. */
const MAX_ALONE_MIB = 1_536
const MAX_BURST_MIB = 3_072

const NANOSECONDS_PER_MS = 1e6

const FLOODS = ['console-flood', 'log-flood'] as const

/** How late the sender's own timers are, since they were last reset. */
const senderDelay = monitorEventLoopDelay({ resolution: 10 })
senderDelay.enable()

const rows: string[] = []
afterAll(() => console.log(`${HEAD}\n${rows.join('\n')}`))

/** What is sent, and to which handlers. */
interface Mixture {
  readonly innocent: Parcel
  readonly innocentHandler: string
  readonly poison: Parcel
  readonly poisonHandler: string
}

const apart = ({ name }: Poison): Mixture => ({
  innocent: { type: 'innocent.event' },
  innocentHandler: 'innocent',
  poison: { type: `poison.${name}` },
  poisonHandler: name,
})

const underOneName = ({ name }: Poison): Mixture => ({
  innocent: { type: 'mixed.event' },
  innocentHandler: 'mixed',
  poison: { type: 'mixed.event', data: { act: name } },
  poisonHandler: 'mixed',
})

async function startWarm({ innocent, innocentHandler }: Mixture): Promise<PoisonedService> {
  const service = await startPoisoned(ENVIRONMENT)
  await postParcel(service, innocent, false)
  await eventually(
    () => deliveriesOf(service, innocentHandler),
    (deliveries) => deliveries.every(isOver),
  )
  return service
}

async function sendAlone(service: PoisonedService, { innocent, poison, poisonHandler }: Mixture): Promise<Posted[]> {
  senderDelay.reset()
  const stopTrickle = startTrickle(service, innocent)
  const posted = await postParcel(service, poison, true)
  await eventually(
    () => deliveriesOf(service, poisonHandler),
    (deliveries) => deliveries.length > 0 && deliveries.every(isOver),
    MAX_POISON_MS,
  ).catch(() => {})
  await sleep(AFTERMATH_MS)
  return [posted, ...(await stopTrickle())]
}

async function sendBurst(service: PoisonedService, { innocent, poison }: Mixture): Promise<Posted[]> {
  senderDelay.reset()
  const stopTrickle = startTrickle(service, innocent)
  const posted = await postBurst(service, innocent, INNOCENTS, poison, POISONS)
  await sleep(TRICKLE_FOR_MS)
  return [...posted, ...(await stopTrickle())]
}

/** Not answering is dying, too: then its end is awaited, for the row to tell of it. */
async function expectLiving(what: string, service: PoisonedService): Promise<void> {
  const { child, publicUrl } = service
  const status = await fetch(`${publicUrl}/livez`, { signal: AbortSignal.timeout(MAX_ANSWER_MS) })
    .then((answer) => answer.status)
    .catch(() => undefined)
  if (status === undefined && !hasEnded(service)) await Promise.race([once(child, 'exit'), sleep(MAX_ANSWER_MS)])
  const { exitCode, signalCode } = child
  if (hasEnded(service)) rows.push(`| ${what} | the service ended with ${exitCode ?? signalCode} |`)
  expect({ exitCode, signalCode, livez: status }).toEqual({ exitCode: null, signalCode: null, livez: 200 })
}

/** Sees how it all ended, writes its row, and ends the service. */
async function observe(what: string, service: PoisonedService, mixture: Mixture, posted: Posted[]): Promise<Observed> {
  const heldUpMs = senderDelay.max / NANOSECONDS_PER_MS
  await expectLiving(what, service)
  const guilty = new Set(posted.filter(({ isPoison }) => isPoison).map(({ uid }) => uid))
  const innocents = await outcomeOf(
    service,
    mixture.innocentHandler,
    posted.filter(({ isPoison }) => !isPoison),
    MAX_WAIT_MS,
  ).catch(async (error) => {
    await expectLiving(what, service)
    throw error
  })
  const deliveries = (await deliveriesOf(service, mixture.poisonHandler)).filter(({ event_uid }) =>
    guilty.has(event_uid),
  )
  await expectLiving(what, service)
  service.watch.stop()
  await service.end('SIGTERM', GRACE_MS + SLACK_MS)
  const observed: Observed = {
    what,
    service,
    slowestAckMs: Math.max(...posted.map(({ ms }) => ms)),
    heldUpMs,
    innocents,
    ends: tally(deliveries.map(({ state }) => state)),
    errors: deliveries.flatMap(({ last_error }) => last_error ?? []),
    remaining: await service.remaining(),
  }
  const row = rowOf(observed)
  rows.push(row)
  console.log(row)
  return observed
}

/** What holds of every poison, alone or in a burst. */
function expectUnharmed(
  { service, innocents, remaining }: Observed,
  posted: readonly Posted[],
  { meddles = false, writesToLog = false }: Poison,
  { maxMib, maxInnocentMs = MAX_INNOCENT_MS }: { readonly maxMib: number; readonly maxInnocentMs?: number },
): void {
  expect.soft(tally(posted.map(({ status }) => String(status)))).toBe(`${posted.length} 200`)
  expect.soft(innocents).toMatchObject({ succeeded: innocents.acked, ...(!meddles && { chargedAttempts: 0 }) })
  expect.soft(innocents.slowestMs).toBeLessThan(maxInnocentMs)
  expect.soft(service.watch.peak.residentMiB).toBeLessThan(maxMib)
  expect.soft(remaining).toEqual([])
  // What handlers write stands in lines of the log, or nowhere.
  if (writesToLog) return
  expect
    .soft(service.logs.filter(({ text }) => text !== undefined).map(({ text }) => String(text).slice(0, 80)))
    .toEqual([])
}

test.each(poisons)(
  'with one attempt of the handler $name, the service acknowledges at once, handles everything else, and names the fault',
  {
    timeout: 2 * MAX_WAIT_MS,
  },
  async (poison) => {
    const mixture = apart(poison)
    const service = await startWarm(mixture)
    const posted = await sendAlone(service, mixture)
    const observed = await observe(`${poison.name}, alone`, service, mixture, posted)

    expectUnharmed(observed, posted, poison, { maxMib: MAX_ALONE_MIB })
    expect.soft(observed.slowestAckMs - observed.heldUpMs).toBeLessThan(MAX_ACK_ALONE_MS)
    if (poison.ends === 'either') expect.soft(observed.ends).toMatch(/^1 (dead|succeeded)$/)
    else expect.soft(observed.ends).toBe(`1 ${poison.ends}`)
    const { reads, logs } = poison
    if (reads !== undefined) {
      expect.soft(observed.errors.join()).toMatch(reads)
      expect.soft(warns(service, reads), `a warning says ${reads}`).toBe(true)
    }
    if (logs !== undefined) expect.soft(says(service, logs), `the log says ${logs}`).toBe(true)
  },
)

async function expectBurstSurvived(
  what: string,
  poison: Poison,
  mixture: Mixture,
  maxInnocentMs?: number,
): Promise<void> {
  const service = await startWarm(mixture)
  const posted = await sendBurst(service, mixture)
  const observed = await observe(what, service, mixture, posted)

  expectUnharmed(observed, posted, poison, {
    maxMib: MAX_BURST_MIB,
    ...(maxInnocentMs !== undefined && { maxInnocentMs }),
  })
  expect.soft(observed.slowestAckMs - observed.heldUpMs).toBeLessThan(MAX_ACK_BURST_MS)
  if (poison.ends === 'dead') expect.soft(observed.ends).not.toContain('succeeded')
  if (poison.ends === 'succeeded') expect.soft(observed.ends).toBe(`${POISONS} succeeded`)
  const reads = poison.crowdReads ?? poison.reads
  if (reads !== undefined) expect.soft(observed.errors.join()).toMatch(reads)
}

test.each(poisons)(
  `${POISONS} attempts of the handler $name at once among ${INNOCENTS} innocent ones lose, delay or charge none of the innocent ones`,
  {
    timeout: 2 * MAX_WAIT_MS,
  },
  (poison) => expectBurstSurvived(`${poison.name}, ${POISONS}`, poison, apart(poison)),
)

test.each(poisons.filter(({ name }) => name === 'spin' || name === 'exit'))(
  `${POISONS} attempts of $name at once among ${INNOCENTS} innocent ones of the same handler lose, delay or charge none of the innocent ones`,
  { timeout: 2 * MAX_WAIT_MS },
  (poison) =>
    expectBurstSurvived(`${poison.name}, ${POISONS}, same handler`, poison, underOneName(poison), MAX_SAME_HANDLER_MS),
)

const readers: readonly (readonly [string, (output: Readable) => void])[] = [
  ['is gone', (output) => output.destroy()],
  ['has stalled', (output) => output.pause()],
]

test.each(readers.flatMap(([how, act]) => FLOODS.map((name) => [how, name, act] as const)))(
  'when the reader of the log %s and a handler writes without end (%s), the service acknowledges at once and handles everything else',
  { timeout: 2 * MAX_WAIT_MS },
  async (how, name, act) => {
    const flood: Poison = { name, ends: 'either' }
    const mixture = apart(flood)
    const service = await startWarm(mixture)
    const { stdout } = service.child
    if (stdout === null) throw new Error('its output is read')
    act(stdout)
    onTestFinished(() => void stdout.resume())
    const posted = await sendAlone(service, mixture)
    const observed = await observe(`${name}, the reader ${how}`, service, mixture, posted)
    expectUnharmed(observed, posted, flood, { maxMib: MAX_ALONE_MIB })
    expect.soft(observed.slowestAckMs - observed.heldUpMs).toBeLessThan(MAX_ACK_ALONE_MS)
  },
)

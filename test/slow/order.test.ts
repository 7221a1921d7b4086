import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { type OrderedServices, sendKey, startOrdered } from './order/load.ts'
import { disorderIn, isToDie, runsIn } from './order/runs.ts'

interface Load {
  readonly keys: number
  readonly eventsOfKey: number
  /** Kills of a service, and of a handler process, spread over the time of sending. */
  readonly serviceKills: number
  readonly processKills: number
}

/** Sends everything while services and handler processes are killed. Gives the uids, and how many processes were killed. */
async function sendUnderKills(
  ordered: OrderedServices,
  { keys, eventsOfKey, serviceKills, processKills }: Load,
): Promise<{ readonly uids: readonly string[]; readonly killed: number }> {
  const total = keys * eventsOfKey
  let sent = 0
  let killed = 0
  const due = (kills: number, done: number) => done < kills && sent >= ((done + 1) * total) / (kills + 1)

  async function kill(): Promise<void> {
    for (let services = 0, processes = 0; sent < total; ) {
      if (due(processKills, processes)) {
        processes++
        if (ordered.killHandlerProcess()) killed++
      } else if (due(serviceKills, services)) {
        services++
        await ordered.killService()
        await ordered.start()
      } else await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  const sending = Array.from({ length: keys }, (_, key) =>
    sendKey(
      () => ordered.services,
      `key_${key}`,
      eventsOfKey,
      () => sent++,
    ),
  )
  const [uids] = await Promise.all([Promise.all(sending), kill()])
  return { uids: uids.flat(), killed }
}

const deadOf = ({ keys, eventsOfKey }: Load): number =>
  keys * Array.from({ length: eventsOfKey }, (_, n) => n).filter(isToDie).length

test('10,000 events over 100 keys keep the order of each key on three replicas that are killed, and none is lost', async () => {
  const load = { keys: 100, eventsOfKey: 100, serviceKills: 4, processKills: 12 }
  const total = load.keys * load.eventsOfKey
  const databaseUrl = ownSchema()
  const ordered = await startOrdered(3, { DATABASE_URL: databaseUrl })
  const beganAt = performance.now()
  const { uids, killed } = await sendUnderKills(ordered, load)
  const sentMs = performance.now() - beganAt
  await eventually(
    () =>
      queryIn<{ n: number }>(
        databaseUrl,
        "SELECT count(*)::integer AS n FROM delivery WHERE state NOT IN ('succeeded', 'dead')",
      ),
    ([row]) => row?.n === 0,
    120_000,
  )
  const doneMs = performance.now() - beganAt
  console.log(
    [
      `${total} events over ${load.keys} keys, ${load.serviceKills} replicas and ${killed} handler processes killed`,
      `acknowledged in ${Math.round(sentMs)} ms, handled in ${Math.round(doneMs)} ms: ${Math.round((total / doneMs) * 1_000)} per second`,
      `${runsIn(ordered.file)} runs of the handler`,
    ].join('\n'),
  )
  expect(disorderIn(ordered.file, load.eventsOfKey)).toEqual([])
  const stored = await queryIn<{ uid: string }>(databaseUrl, "SELECT uid FROM event WHERE status = 'accepted'")
  expect(stored.map(({ uid }) => uid).toSorted()).toEqual([...uids].toSorted())
  const states = await queryIn<{ state: string; n: number }>(
    databaseUrl,
    'SELECT state, count(*)::integer AS n FROM delivery GROUP BY state ORDER BY state',
  )
  expect(states).toEqual([
    { state: 'dead', n: deadOf(load) },
    { state: 'succeeded', n: total - deadOf(load) },
  ])
  expect(killed).toBeGreaterThan(0)
})

test('the embedded store keeps the order of each key over kills of the service and of its handler processes', async () => {
  const load = { keys: 30, eventsOfKey: 60, serviceKills: 5, processKills: 6 }
  const total = load.keys * load.eventsOfKey
  const ordered = await startOrdered(1)
  const beganAt = performance.now()
  const { uids, killed } = await sendUnderKills(ordered, load)
  const [service] = ordered.services
  if (service === undefined) throw new Error('no service runs')
  for (const state of ['pending', 'running'])
    await eventually(
      () => service.api(`/v1/deliveries?state=${state}&limit=1`),
      ({ items }) => items.length === 0,
      60_000,
    )
  const doneMs = performance.now() - beganAt
  console.log(
    `${total} events over ${load.keys} keys, ${load.serviceKills} kills of the service, ${killed} of handler processes: ${Math.round((total / doneMs) * 1_000)} per second`,
  )
  expect(disorderIn(ordered.file, load.eventsOfKey)).toEqual([])
  expect(new Set(uids).size).toBe(total)
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text()
  expect(metrics).toContain(`holdfast_deliveries{state="dead"} ${deadOf(load)}\n`)
  expect(metrics).toContain(`holdfast_deliveries{state="succeeded"} ${total - deadOf(load)}\n`)
  expect(killed).toBeGreaterThan(0)
})

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/service.ts'
import { deliveriesOf, isOver, outcomeOf, type Posted, postParcel } from './poisons/innocents.ts'
import { startPoisoned } from './poisons/poisoned-service.ts'
import { tally } from './poisons/report.ts'

const HEALTHY = 32
const HEALTHY_MS = 3_000
const NEWCOMERS = 20
/** From the start of the service that takes over. */
const MAX_RECOVERY_MS = 10_000
/** A newcomer waits for room at most as long as a healthy handler takes. */
const MAX_NEWCOMER_MS = HEALTHY_MS + 2_000

const ENVIRONMENT = { HANDLER_PROCESSES: '2', HANDLER_CONCURRENCY: '16' }

test(`a service killed with ${HEALTHY} healthy ${HEALTHY_MS} ms handlers at work has handled them all within ${MAX_RECOVERY_MS} ms of its restart`, async () => {
  const directory = temporaryDirectory()
  const file = join(directory, 'began.txt')
  const begun = (): number => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0)
  const first = await startPoisoned(ENVIRONMENT, directory)
  const parcel = { type: 'healthy.event', data: { began: file, ms: HEALTHY_MS } }
  const posted = await Promise.all(Array.from({ length: HEALTHY }, () => postParcel(first, parcel, false)))
  await eventually(
    async () => begun(),
    (count) => count === HEALTHY,
  )
  const before = tally((await deliveriesOf(first, 'healthy')).map(({ state }) => state))
  await first.end('SIGKILL', 1_000)

  const restartedAt = performance.now()
  const second = await startPoisoned(ENVIRONMENT, directory)
  const servingMs = performance.now() - restartedAt
  const newcomers: Posted[] = []
  for (let n = 0; n < NEWCOMERS; n++) newcomers.push(await postParcel(second, { type: 'innocent.event' }, false))
  const healthy = await eventually(
    () => deliveriesOf(second, 'healthy'),
    (deliveries) => deliveries.every(isOver),
    120_000,
  )
  const recoveredMs = performance.now() - restartedAt
  const { slowestMs, succeeded } = await outcomeOf(second, 'innocent', newcomers, 60_000)
  console.log(
    `killed with ${HEALTHY} at work: serving after ${Math.round(servingMs)} ms, all handled ${Math.round(recoveredMs)} ms after the restart, in ${begun()} runs; the slowest of ${NEWCOMERS} newcomers took ${Math.round(slowestMs)} ms`,
  )
  expect.soft(before, 'all are at work at once').toBe(`${HEALTHY} running`)
  expect.soft(new Set(healthy.map(({ event_uid }) => event_uid))).toEqual(new Set(posted.map(({ uid }) => uid)))
  expect.soft(healthy.every(({ state }) => state === 'succeeded')).toBe(true)
  // Each ran twice: once in vain, and once more.
  expect.soft(begun()).toBe(2 * HEALTHY)
  expect.soft(recoveredMs).toBeLessThan(MAX_RECOVERY_MS)
  expect.soft(succeeded).toBe(NEWCOMERS)
  expect.soft(slowestMs).toBeLessThan(MAX_NEWCOMER_MS)
  expect((await second.end('SIGTERM', 10_000)).code).toBe(0)
})

import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { taskClaim, trackSubmission } from '../contract/task-samples.ts'
import { ownPath } from './database-file.ts'

const DAY_MS = 86_400_000
const LEASE_MS = 90_000

/** A store whose clock may be set, beside one that may not. */
async function open() {
  let [wallMs, monotonicMs] = [START_MS, 0]
  const store = await openStore(`file:${ownPath()}`, { clock: () => wallMs, monotonicMs: () => monotonicMs })
  onTestFinished(() => store.close())
  return {
    store,
    now: () => wallMs,
    setBy: (ms: number) => {
      wallMs += ms
    },
    pass: (ms: number) => {
      wallMs += ms
      monotonicMs += ms
    },
  }
}

test.each([40 * DAY_MS, 120_000])(
  'a delivery that runs while the clock of the embedded store is set ahead by %d ms keeps its lease for its full length',
  async (aheadMs) => {
    const { store, setBy, pass } = await open()
    await store.append(newEvent())
    const work = await claimOne(store, { leaseMs: LEASE_MS })
    pass(30_000)
    setBy(aheadMs)
    expect((await store.claim(claimRequest())).work).toEqual([])
    pass(LEASE_MS - 30_000 - 1)
    expect((await store.claim(claimRequest())).work).toEqual([])
    expect(await store.settle([settlement(work)])).toEqual([true])

    await store.append(newEvent({ receivedAtMs: START_MS }))
    await claimOne(store, { leaseMs: LEASE_MS })
    setBy(aheadMs)
    expect((await store.claim(claimRequest())).work).toEqual([])
    pass(LEASE_MS)
    expect(await claimOne(store)).toMatchObject({ attempt: 2 })
  },
)

test('a submission that is under way while the clock is set ahead is not sent again, and its id is taken', async () => {
  const { store, setBy, pass } = await open()
  const { uid, lease } = await trackSubmission(store, { deadlineMs: 90 * DAY_MS, leaseMs: LEASE_MS })
  setBy(40 * DAY_MS)
  expect(await store.claimTasks(taskClaim())).toEqual([])
  pass(LEASE_MS - 1)
  expect(await store.claimTasks(taskClaim())).toEqual([])
  expect(await store.submitted(uid, lease, { id: 'theirs' })).toMatchObject({ status: 'pending', id: 'theirs' })

  await trackSubmission(store, { deadlineMs: 90 * DAY_MS, leaseMs: LEASE_MS })
  setBy(40 * DAY_MS)
  pass(LEASE_MS)
  const claimed = await store.claimTasks(taskClaim())
  expect(claimed.filter(({ interrupted }) => interrupted)).toHaveLength(1)
})

test('the first lease after the clock was set ahead ends as any other', async () => {
  const { store, now, setBy, pass } = await open()
  await store.append(newEvent())
  setBy(40 * DAY_MS)
  const offered = newEvent({ receivedAtMs: now(), handlers: ['b'], lease: { handlers: ['b'], leaseMs: LEASE_MS } })
  expect(await store.append(offered)).toMatchObject({ leased: [{ handler: 'b' }] })
  const claim = async () => (await store.claim(claimRequest({ handlers: [{ name: 'b', limit: 1 }] }))).work
  pass(LEASE_MS - 1)
  expect(await claim()).toEqual([])
  pass(1)
  expect(await claim()).toHaveLength(1)
})

test('a lease that was kept over a jump ahead ends soon after the clock is set right', async () => {
  const { store, setBy, pass } = await open()
  await store.append(newEvent())
  await claimOne(store, { leaseMs: LEASE_MS })
  setBy(40 * DAY_MS)
  expect((await store.claim(claimRequest())).work).toEqual([])
  setBy(-40 * DAY_MS)
  const waits = { retryMs: DAY_MS, retryAfterMs: DAY_MS, pollMs: DAY_MS, leaseMs: LEASE_MS, isTrusted: false }
  expect(await store.repairTimes(waits)).toMatchObject({ deliveries: 1 })
  pass(LEASE_MS)
  expect(await claimOne(store)).toMatchObject({ attempt: 2 })
})

import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { Retention } from '../../src/app/retention.ts'
import { newUid } from '../../src/domain/names.ts'
import { openStore } from '../../src/storage/open.ts'
import { newEvent, START_MS } from '../contract/store-samples.ts'
import { ownPath } from '../storage/database-file.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

test('replays that have ended are deleted after the retention of events, and those that are running are not', async () => {
  const at = { wallMs: START_MS, monotonicMs: 0 }
  const store = await openStore(`file:${ownPath()}`, { clock: () => at.wallMs })
  onTestFinished(() => store.close())
  await store.append(newEvent())
  const create = async (source: string): Promise<string> => {
    const id = newUid()
    await store.replayJobs.create({ id, filter: { source }, matched: 0, range: { after: 0, last: 0 } })
    return id
  }
  const [ended, running, young] = [await create('a'), await create('b'), await create('c')]
  await store.replayJobs.cancel(ended)
  const retention = new Retention({
    store,
    retentionDays: 30,
    deadRetentionDays: 30,
    waits: () => ({ retryMs: 1, retryAfterMs: 1, pollMs: 1, leaseMs: 1 }),
    onRepaired: () => {},
    log: pino({ level: 'silent' }),
    monotonicMs: () => at.monotonicMs,
  })
  const kept = async () => (await store.replayJobs.list({ limit: 10 })).items.map(({ id }) => id)
  await retention.pass()
  for (let day = 0; day < 31; day++) {
    at.wallMs += DAY_MS
    at.monotonicMs += DAY_MS
    if (day === 29) await store.replayJobs.cancel(young)
    if (day === 28) expect(await kept()).toEqual([young, running, ended])
    await retention.pass()
  }
  expect(await kept()).toEqual([young, running])
})

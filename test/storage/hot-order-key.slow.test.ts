import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { ownPath } from './database-file.ts'

const WAITING = 60_000
const AT_ONCE = 1_000
const RUNS = 200
/** Far more than it takes, and far less than it would take if each step looked at everything that waits. */
const MAX_STEP_MS = 60

test.each([
  ['the embedded store', () => `file:${ownPath()}`],
  ['PostgreSQL', () => ownSchema()],
])(
  `with %s, ${WAITING} deliveries that wait for one key slow down neither it nor other handlers`,
  { timeout: 180_000 },
  async (_, urlOf) => {
    const store = await openStore(urlOf(), {})
    onTestFinished(() => store.close())
    const now = () => ({ receivedAtMs: Date.now() })
    for (let n = 0; n < WAITING; n += AT_ONCE)
      await Promise.all(
        Array.from({ length: AT_ONCE }, () => store.append(newEvent({ ...now(), orderKeys: { a: 7 } }))),
      )
    const claim = async (handler: string) =>
      (await store.claim(claimRequest({ ordered: true, handlers: [{ name: handler, limit: 9 }] }))).work

    const [head] = await claim('a')
    const waits = await store.deliveries({ state: 'pending' }, { limit: 1 })
    expect(waits.items).toHaveLength(1)
    // PostgreSQL decides of a part of them in each claim.
    for (let n = 0; n < WAITING / 200; n++) expect(await claim('a')).toEqual([])

    const beganAt = performance.now()
    let work = head === undefined ? [] : [head]
    for (let run = 0; run < RUNS; run++) {
      expect(work).toHaveLength(1)
      await store.settle(work.map((each) => settlement(each, { ordered: true })))
      work = [...(await claim('a'))]
      await store.append(newEvent({ ...now(), handlers: ['b'] }))
      expect(await claim('b')).toHaveLength(1)
    }
    expect((performance.now() - beganAt) / RUNS).toBeLessThan(MAX_STEP_MS)
  },
)

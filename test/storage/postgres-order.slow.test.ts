import { expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { seededRandom } from '../support/random.ts'

async function open(url: string): Promise<OpenStore> {
  const store = await openStore(url)
  onTestFinished(() => store.close())
  return store
}

/** Order keys with two heads, or with deliveries that wait behind none: none, whenever one looks. */
const BROKEN = `
  SELECT handler, order_key, heads, waiting FROM (
    SELECT handler, order_key, count(*) FILTER (WHERE state IN ('pending', 'running')) AS heads,
      count(*) FILTER (WHERE state = 'blocked') AS waiting
    FROM delivery GROUP BY handler, order_key
  ) AS line WHERE heads > 1 OR (heads = 0 AND waiting > 0)
`

/** Keys, events of each key, and replicas, of the race below. */
const KEYS = 16
const EVENTS = 250
const REPLICAS = 3

test('appends, claims and settlements of three replicas at once keep the order of every key and leave nothing behind', {
  timeout: 240_000,
}, async () => {
  const url = ownSchema()
  const stores = await Promise.all(Array.from({ length: REPLICAS }, () => open(url)))
  const random = seededRandom(1)
  const stored = Array.from({ length: KEYS }, (): string[] => [])
  const ended = Array.from({ length: KEYS }, (): string[] => [])
  const running = new Map<number, string>()
  const total = KEYS * EVENTS

  const storeOf = (n: number): OpenStore => stores[n % REPLICAS] as OpenStore
  async function append(key: number): Promise<void> {
    for (let n = 0; n < EVENTS; n++) {
      const event = newEvent({ ...now(), orderKeys: { a: key }, headers: { key: String(key) } })
      await storeOf(key + n).append(event)
      stored[key]?.push(event.uid)
    }
  }
  const now = () => ({ receivedAtMs: Date.now() })
  const count = () => ended.reduce((sum, { length }) => sum + length, 0)

  async function work(store: OpenStore): Promise<void> {
    while (count() < total) {
      const claimed = (await store.claim(claimRequest({ ordered: true, maxAttempts: 1_000 }))).work
      for (const { event } of claimed) {
        const key = Number(event.headers.key)
        expect(running.get(key), `two of key ${key} at once`).toBeUndefined()
        running.set(key, event.uid)
      }
      await new Promise(setImmediate)
      const settlements = claimed.map((each) => {
        const verdict = random() < 0.3 ? 'retry' : random() < 0.2 ? 'dead' : 'succeeded'
        const key = Number(each.event.headers.key)
        if (verdict !== 'retry') ended[key]?.push(each.event.uid)
        running.delete(key)
        return settlement(each, { verdict, outcome: 'failed', dueAtMs: Date.now(), ordered: true })
      })
      const split = Math.floor(settlements.length / 2)
      await Promise.all([settlements.slice(0, split), settlements.slice(split)].map((some) => store.settle(some)))
    }
  }

  const broken: unknown[] = []
  async function check(): Promise<void> {
    while (count() < total) broken.push(...(await queryIn(url, BROKEN)))
  }

  await Promise.all([...stored.keys()].map(append).concat(stores.map(work), check()))
  expect(broken).toEqual([])
  expect(ended).toEqual(stored)
  const { pending, running: left } = (await storeOf(0).counts()).deliveries
  expect([pending, left]).toEqual([0, 0])
})

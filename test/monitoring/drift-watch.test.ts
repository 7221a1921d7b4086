import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { DriftWatch } from '../../src/monitoring/drift-watch.ts'
import { newEvent } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'

interface Watch {
  readonly told: string[]
  readonly logs: Record<string, unknown>[]
  /** Has all of these payloads looked at, one after the other. */
  readonly look: (payloads: readonly object[], type?: string) => Promise<void>
  readonly offer: (payload: object, type?: string) => void
  readonly stop: () => void
  /** The time that its turns take, by its own clock. */
  readonly state: { nowMs: number; turnMs: number }
}

/** A watch whose clock runs fast, so that its turns are not far apart. */
function watch(store: OpenStore): Watch {
  const told: string[] = []
  const logs: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line)) })
  const state = { nowMs: 0, turnMs: 0 }
  const drift = new DriftWatch({
    store,
    telemetry: { drifted: (source, type) => void told.push(`${source} ${type}`) },
    log,
    clock: Date.now,
    now: () => (state.nowMs += state.turnMs),
  })
  onTestFinished(() => drift.stop())
  let looked = 0
  const offer = (payload: object, type = 'invoice.paid'): void =>
    drift.offer(newEvent({ type, body: Buffer.from(JSON.stringify(payload)), receivedAtMs: Date.now() }))
  return {
    told,
    logs,
    state,
    offer,
    stop: () => drift.stop(),
    look: async (payloads, type) => {
      for (const payload of payloads) {
        looked++
        offer(payload, type)
        if (looked % 8 === 0) await drift.idle()
      }
      await drift.idle()
    },
  }
}

const times = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item)
const invoice = { id: 'x', amount: 1 }
/** The embedded store saves shapes with other commits. */
const entriesIn = (store: OpenStore, count = 1) =>
  eventually(
    async () => {
      await store.append(newEvent())
      return (await store.driftEntries({}, { limit: 10 })).items
    },
    (items) => items.length >= count,
  )

async function sqlite(): Promise<OpenStore> {
  const store = await openEmptyStore()
  onTestFinished(() => store.close())
  return store
}

describe('the watch for drift', () => {
  test('stores, counts and logs a change once, with an event that shows it, and goes on after a restart', async () => {
    const store = await sqlite()
    const before = watch(store)
    await before.look(times(70, invoice))
    before.stop()
    // With this commit the shape is saved.
    await store.append(newEvent())
    const { told, logs, look } = watch(store)
    await look(times(20, { ...invoice, tax: 1 }))
    const [entry, ...others] = await entriesIn(store)
    expect(entry).toMatchObject({ source: 'stripe', type: 'invoice.paid', path: 'tax', what: 'new', to: 'number' })
    expect(others).toEqual([])
    await eventually(
      async () => logs,
      (lines) => lines.length > 0,
    )
    expect(told).toEqual(['stripe invoice.paid'])
    expect(logs).toEqual([expect.objectContaining({ level: 40, source: 'stripe', changes: 1, paths: ['tax new'] })])
  })

  test('two replicas learn one shape, and tell a change once', async () => {
    const url = ownSchema()
    const [one, other] = [watch(await openReplica(url)), watch(await openReplica(url))]
    const store = await openReplica(url)
    await Promise.all([one.look(times(60, invoice)), other.look(times(60, invoice))])
    await Promise.all([one.look(times(10, { ...invoice, tax: 1 })), other.look(times(10, { ...invoice, tax: 1 }))])
    await entriesIn(store)
    await one.look(times(10, { ...invoice, tax: 1, note: 'x' }))
    await entriesIn(store, 2)
    await other.look(times(10, { ...invoice, tax: 1, note: 'x' }))
    for (const { stop } of [one, other]) stop()
    const paths = (await store.driftEntries({}, { limit: 10 })).items.map(({ path }) => path)
    expect(paths.toSorted()).toEqual(['note', 'tax'])
    expect([...one.told, ...other.told]).toHaveLength(2)
  })

  test('looks at few of the events of a burst, and at every type of it', async () => {
    const store = await sqlite()
    const { offer, state, look, stop } = watch(store)
    await look([invoice], 'often')
    await look([invoice], 'seldom')
    state.turnMs = 10
    for (let nth = 0; nth < 1_000; nth++) offer(invoice, 'often')
    offer(invoice, 'seldom')
    await look([])
    stop()
    await store.append(newEvent())
    const looksOf = async (type: string): Promise<number> =>
      JSON.parse((await store.readShape('stripe', type))?.shape ?? '{"looks":0}').looks
    expect([await looksOf('often'), await looksOf('seldom')]).toEqual([65, 2])
  })

  test('a body that is no JSON, or long, or text alone, is not looked at', async () => {
    const store = await sqlite()
    const { look, stop } = watch(store)
    await look([{ long: 'x'.repeat(70_000) }], 'long')
    stop()
    await store.append(newEvent())
    expect(await store.readShape('stripe', 'long')).toBeUndefined()
  })
})

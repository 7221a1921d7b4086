import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Work } from '../../src/domain/delivery.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { claimOne, claimRequest, codeOf, newEvent, settlement } from '../contract/store-samples.ts'
import { eventually } from '../support/eventually.ts'
import { openReplicaBehindRelay } from '../support/postgres/replica.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'

/** Longer than a replica may be silent before it is taken for dead. */
const LONG_MS = 8_000
const LEASE_MS = 120_000

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.remove())

/** The later one of two replicas finds a database that is back so long after the other. */
const LATER_MS = 3_000

test.each(['away', 'standing still'] as const)(
  'after a database was %s for longer than a replica may be silent, no replica takes what another one leases, though one is back before the other',
  async (how) => {
    const url = new URL(server.url)
    url.searchParams.set('schema', how.replace(' ', '_'))
    const early = await openReplicaBehindRelay(server, url.href)
    const late = await openReplicaBehindRelay(server, url.href)
    const held: (readonly [OpenStore, Work])[] = []
    for (const { store } of [early, late]) {
      await store.append(newEvent({ receivedAtMs: Date.now() }))
      held.push([store, await claimOne(store, { leaseMs: LEASE_MS })])
    }
    // Both have been heard of for long enough to tell that another is dead.
    await sleep(LONG_MS)
    for (const { relay } of [early, late]) relay.hang()
    if (how === 'away') await server.stop()
    await sleep(LONG_MS)
    if (how === 'away') await server.start()
    await early.relay.resume()
    const claimsNothing = async (store: OpenStore, forMs: number): Promise<void> => {
      const untilMs = performance.now() + forMs
      while (performance.now() < untilMs) {
        const { work } = await store.claim(claimRequest({ leaseMs: LEASE_MS })).catch(() => ({ work: [] }))
        expect(work).toEqual([])
      }
    }
    await eventually(
      () => codeOf(early.store.claim(claimRequest({ handlers: [] }))),
      (outcome) => outcome === 'it resolved',
    )
    await claimsNothing(early.store, LATER_MS)
    await late.relay.resume()
    await Promise.all([early, late].map(({ store }) => claimsNothing(store, LONG_MS)))
    for (const [store, work] of held) expect(await store.settle([settlement(work)])).toEqual([true])
  },
)

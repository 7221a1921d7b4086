import { writeSync } from 'node:fs'
import type { LeasedDelivery } from '../../src/domain/delivery.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, settlement } from '../contract/store-samples.ts'

/** Does one thing after the other with a store, and prints a line before and after each. Arguments: the path, and the rounds. */
const [path, rounds] = process.argv.slice(2)
const store = await openStore(`file:${path}`)

const say = (line: string): void => void writeSync(1, `${line}\n`)

async function settle(
  store: OpenStore,
  leased: readonly Pick<LeasedDelivery, 'deliveryId' | 'lease'>[],
): Promise<void> {
  if (leased.length !== 1) throw new Error(`${leased.length} leases`)
  say('settle')
  await store.settle(leased.map((each) => settlement(each)))
  say('settled')
}

for (let round = 0; round < Number(rounds); round++) {
  say('append')
  const { leased = [] } = await store.append(newEvent({ lease: { handlers: ['a'], leaseMs: 60_000 } }))
  say('acknowledged')
  await settle(store, leased)
}
for (let round = 0; round < Number(rounds); round++) {
  say('append')
  await store.append(newEvent())
  say('acknowledged')
  say('claim')
  const { work } = await store.claim(claimRequest())
  say('claimed')
  await settle(store, work)
}
say('end')
await store.close()

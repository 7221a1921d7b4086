import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent } from '../contract/store-samples.ts'

/**
 * Appends until it is killed, telling each uid once it is acknowledged. Before that it claims one delivery, which it never
 * settles. Argument: the path of the database.
 */
const store = await openStore(`file:${process.argv[2]}`)
await store.append(newEvent({ id: 'claimed', receivedAtMs: Date.now() }))
await store.claim(claimRequest({ leaseMs: 86_400_000 }))
process.stdout.write('claimed\n')

async function appendForEver(): Promise<never> {
  for (;;) {
    const { uid } = await store.append(newEvent({ receivedAtMs: Date.now() + 86_400_000 }))
    process.stdout.write(`${uid}\n`)
  }
}
await Promise.all(Array.from({ length: 16 }, appendForEver))

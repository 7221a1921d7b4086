import { writeSync } from 'node:fs'
import type { Settlement, Work } from '../../src/domain/delivery.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, settlement } from '../contract/store-samples.ts'

/**
 * Works a store as the service does, and prints the uid of each event once it is acknowledged. Arguments: the path, how many
 * rounds, and the bytes of a body.
 */
const [path, rounds, bytes] = process.argv.slice(2)
const store = await openStore(`file:${path}`)
const say = (line: string): void => void writeSync(1, `${line}\n`)
say('open')

async function append(round: number, place: number): Promise<void> {
  const lease = place % 2 === 0 ? { lease: { handlers: ['a'], leaseMs: 60_000 } } : {}
  const body = Buffer.alloc(Number(bytes), `${round}.${place} `)
  const receipt = await store.append(newEvent({ body, ...lease, receivedAtMs: Date.now() }))
  say(receipt.uid)
  await store.settle((receipt.leased ?? []).map((each) => ended(each, place)))
}

/** Most end well; some are to run again at once. */
const ended = (each: Pick<Work, 'deliveryId' | 'lease'>, place: number): Settlement =>
  settlement(each, place % 5 === 0 ? { verdict: 'retry', outcome: 'failed', error: 'no', dueAtMs: 0 } : {})

async function runClaimed(): Promise<void> {
  const { work } = await store.claim(claimRequest({ sharedLimit: 4 }))
  for (const [place, each] of work.entries()) await store.settle([ended(each, place)])
}

for (let round = 0; round < Number(rounds); round++) {
  await Promise.all([0, 1, 2, 3, 4].map((place) => append(round, place)))
  await Promise.all([runClaimed(), append(round, 5)])
  await runClaimed()
}
await store.close()
say('closed')

import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import { indexedValues } from '../../src/domain/payload-index.ts'
import type { OpenStore } from '../../src/domain/store.ts'

/** The paths whose values are indexed. */
export const MIX_KEYS = ['data.object.customer']

const FILLERS = 512
/** Every so many events are for a handler, whose deliveries all die. */
const DEAD_EVERY = 500
const CUSTOMERS = 10_000
const FILLER = 'x'.repeat(800)

/** Events of two sources and two types, of 1 kB, a millisecond apart; some of them die. */
export class EventMix {
  readonly startMs = Date.now() - 86_400_000
  #made = 0

  get made(): number {
    return this.#made
  }

  next(): NewEvent {
    const n = ++this.#made
    const body = Buffer.from(
      JSON.stringify({
        id: `evt_${n}`,
        type: 'bench',
        data: { object: { customer: `cus_${n % CUSTOMERS}` }, filler: FILLER },
      }),
    )
    const isDead = n % DEAD_EVERY === 0
    return {
      uid: newUid(),
      source: n % 10 === 0 ? 'github' : 'stripe',
      provider: 'stripe',
      id: `evt_${n}`,
      type: n % 3 === 0 ? 'invoice.paid' : 'charge.succeeded',
      createdAt: '2026-11-23T09:59:59Z',
      createdAtSource: 'provider',
      receivedAtMs: this.startMs + n,
      origin: 'webhook',
      status: isDead ? 'accepted' : 'unhandled',
      reasons: [],
      headers: { 'content-type': 'application/json', 'user-agent': 'bench/1.0', 'webhook-id': `msg_${n}` },
      body,
      indexed: indexedValues(MIX_KEYS, body, 'application/json'),
      handlers: isDead ? ['bench'] : [],
    }
  }

  /** Stores so many, straight through the store, and lets the deliveries die. */
  async fill(store: OpenStore, count: number): Promise<void> {
    const end = this.#made + count
    const writer = async (): Promise<void> => {
      while (this.#made < end) await store.append(this.next())
    }
    await Promise.all(Array.from({ length: FILLERS }, writer))
    while (await killSome(store)) continue
  }
}

async function killSome(store: OpenStore): Promise<boolean> {
  const { work } = await store.claim({
    handlers: [{ name: 'bench', limit: 256 }],
    sharedLimit: 256,
    isolatedLimit: 1,
    leaseMs: 60_000,
    maxAttempts: 5,
  })
  if (work.length === 0) return false
  await store.settle(
    work.map(({ deliveryId, lease }) => ({
      deliveryId,
      lease,
      verdict: 'dead' as const,
      outcome: 'rejected' as const,
      isolate: false,
      error: 'bench',
      dueAtMs: Date.now(),
      startedAtMs: Date.now(),
      durationMs: 1,
    })),
  )
  return true
}

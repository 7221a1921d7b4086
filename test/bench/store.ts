import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'

/**
 * Straight into the embedded store, no HTTP: appends of 1 kB bodies, empty and filled, then claims and settlements.
 * `node test/bench/store.ts --rows 1000000`
 */
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    sample: { type: 'string', default: '100000' },
    inFlight: { type: 'string', default: '64' },
    directory: { type: 'string', default: tmpdir() },
  },
})
const rows = Number(values.rows)
const sample = Number(values.sample)
const inFlight = Number(values.inFlight)

const BODY_BYTES = 1_024
const TYPES = ['invoice.paid', 'invoice.created', 'charge.succeeded', 'customer.updated']
const HEADERS = {
  host: 'hooks.example.com',
  'content-type': 'application/json; charset=utf-8',
  'content-length': String(BODY_BYTES),
  'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
  'stripe-signature': `t=1795430467,v1=${'5f'.repeat(32)}`,
  accept: '*/*; q=0.5, application/xml',
}

let made = 0
function event(): NewEvent {
  const body = Buffer.alloc(BODY_BYTES, 'x')
  body.writeUInt32LE(++made)
  return {
    uid: newUid(),
    source: 'stripe',
    provider: 'stripe',
    id: `evt_${randomBytes(12).toString('base64url')}`,
    type: TYPES[made % TYPES.length] ?? 'invoice.paid',
    createdAt: '2026-11-23T10:00:00.000Z',
    createdAtSource: 'provider',
    receivedAtMs: Date.now(),
    origin: 'webhook',
    status: 'accepted',
    reasons: [],
    headers: HEADERS,
    body,
    handlers: ['billing:invoice.paid'],
  }
}

async function measured(name: string, count: number, run: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  await run()
  const seconds = (performance.now() - startedAt) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  const cells = [
    name.padEnd(40),
    `${Math.round(count / seconds).toLocaleString('en')}/s`.padStart(12),
    `${((user + system) / count).toFixed(1)} µs CPU each`.padStart(20),
    `RSS ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`.padStart(14),
  ]
  console.log(cells.join(''))
}

async function append(store: OpenStore, count: number): Promise<void> {
  let left = count
  const one = async (): Promise<void> => {
    while (left-- > 0) await store.append(event())
  }
  await Promise.all(Array.from({ length: inFlight }, one))
}

async function claimAndSettle(store: OpenStore, count: number): Promise<void> {
  const request = {
    handlers: [{ name: 'billing:invoice.paid', limit: 32 }],
    sharedLimit: 32,
    isolatedLimit: 1,
    leaseMs: 60_000,
    maxAttempts: 12,
  }
  for (let done = 0; done < count; ) {
    const { work } = await store.claim(request)
    const now = Date.now()
    await store.settle(
      work.map(({ deliveryId, lease }) => ({
        deliveryId,
        lease,
        verdict: 'succeeded',
        outcome: 'succeeded',
        isolate: false,
        dueAtMs: now,
        startedAtMs: now,
        durationMs: 1,
      })),
    )
    done += work.length
  }
}

const directory = mkdtempSync(join(values.directory, 'holdfast-bench-'))
const store = await openStore(`file:${join(directory, 'bench.db')}`)
try {
  await measured('append, warming up', 20_000, () => append(store, 20_000))
  await measured('append, empty', sample, () => append(store, sample))
  const settled = Math.min(sample, 50_000)
  await measured('claim and settle', settled, () => claimAndSettle(store, settled))
  while (made < rows) {
    const count = Math.min(200_000, rows - made)
    await measured(`append, ${made.toLocaleString('en')} stored`, count, () => append(store, count))
  }
  await measured(`append, ${made.toLocaleString('en')} stored`, sample, () => append(store, sample))
  await measured(`claim and settle, ${made.toLocaleString('en')} stored`, settled, () => claimAndSettle(store, settled))
  const duplicate = event()
  await measured('append of one duplicate', 20_000, async () => {
    for (let n = 0; n < 20_000; n += inFlight)
      await Promise.all(Array.from({ length: inFlight }, () => store.append(duplicate)))
  })
  await measured('search by q without a hit', 20, async () => {
    for (let n = 0; n < 20; n++) await store.events({ q: 'nowhere' }, { limit: 50 })
  })
  await measured('search by type', 200, async () => {
    for (let n = 0; n < 200; n++) await store.events({ type: 'invoice.*' }, { limit: 50 })
  })
  await measured('counts', 1_000, async () => {
    for (let n = 0; n < 1_000; n++) await store.counts()
  })
} finally {
  await store.close()
  rmSync(directory, { recursive: true })
}

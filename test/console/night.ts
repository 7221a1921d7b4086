import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { StatsRecorder } from '../../src/monitoring/stats-recorder.ts'
import { openStore } from '../../src/storage/open.ts'
import { eventually } from '../support/eventually.ts'
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts'
import type { LocalOptions } from '../support/local-service.ts'
import { memoryDirectory } from '../support/sqlite/store.ts'
import { type Scene, startScene } from './scene.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** Each source with its webhooks an hour at noon, and since how many minutes it has been silent. */
const SOURCES = {
  stripe: { noon: 900, silent: 0 },
  shop: { noon: 500, silent: 0 },
  ai: { noon: 300, silent: 0 },
  github: { noon: 120, silent: 130 },
}

const SETTINGS = {
  SOURCES: Object.keys(SOURCES).join(','),
  SOURCE_STRIPE_SECRET: 'whsec_bmlnaHQtc2VjcmV0LW9mLXN0cmlwZS0wMDAwMDE=',
  SOURCE_GITHUB_SECRET: 'night-secret-of-github-000001',
  SOURCE_GITHUB_EXPECT_EVERY: '1h',
  SOURCE_STRIPE_KEYS: 'data.object.customer',
  PUBLIC_URL: 'https://hooks.example.com',
}

/** What a page of the console may tell of an event, each told of one of these. */
interface Night extends Scene {
  /** Pages of events: forwarded, sent twice and with another in conflict; that one; made by a poll. */
  readonly stories: readonly string[]
}

/**
 * A service at three in the morning: a day of traffic behind it, a source that has gone silent, one whose webhooks are refused, a
 * handler that cannot reach its database, one that is paused, one that forwards, and tasks that wait.
 */
export async function startNight({
  directory = memoryDirectory(),
  onEnd = onTestFinished,
  ...options
}: LocalOptions = {}): Promise<Night> {
  await seedDay(`file:${join(directory, 'holdfast.db')}`)
  const provider = await startFakeProvider()
  onEnd(() => provider.close())
  process.env.SCENE_WAREHOUSE = await startWarehouse(onEnd) // the handler processes inherit it
  const scene = await startScene(
    { ...SETTINGS, SOURCE_AI_API_URL: provider.url },
    { directory, onEnd, tuning: { monitorMs: 100 }, ...options },
  )
  scene.breakBilling()
  for (let number = 0; number < 14; number++) {
    await scene.send('invoice.paid', invoice(number))
    await scene.send('order.created', {
      order: number,
      stock: number % 5 !== 0,
      lines: [{ sku: 'bike-26-blue', count: 1 }],
    })
    await scene.send('report.due', { report: number })
  }
  await scene.post('/v1/handlers/crm-sync/pause', { reason: 'CRM maintenance until 06:00' })
  for (let number = 14; number < 40; number++) await scene.send('report.due', { report: number })
  await Promise.all(Array.from({ length: 60 }, async () => fetch(`${scene.publicUrl}/v1/webhooks/stripe`, refused())))
  const ended = await waitForTasks(scene, provider)
  const stories = [...(await shipTwice(scene)), ended].map((uid) => `/console/events/${uid}`)
  // A replay that came too early: all die again.
  const { body } = await scene.post('/v1/replays', { filter: { outcome: 'dead', handler: 'orders' }, per_second: 50 })
  const { id } = body as { id: string }
  await eventually(
    () => scene.api(`/v1/replays/${id}`),
    ({ state, outcomes }) => state === 'done' && outcomes[0]?.dead === 3,
  )
  const expected = ['dead_letters', 'refusals', 'source_silent', 'handler_paused']
  await eventually(
    () => scene.api('/v1/status'),
    ({ problems }: { problems: readonly { problem: string }[] }) =>
      expected.every((name) => problems.some(({ problem }) => problem === name)),
  )
  return { ...scene, stories }
}

/** Takes every shipment, and says so. Resolves with its URL. */
async function startWarehouse(onEnd: NonNullable<LocalOptions['onEnd']>): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(202, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ status: 'queued', dock: 7, note: '<b>before noon</b>' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onEnd(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/shipments`
}

/** Sends a shipment twice, and then another one under its id. Resolves with the uids of the first and of the one in conflict. */
async function shipTwice(scene: Scene): Promise<readonly string[]> {
  const [id, timestamp] = ['msg_shipment', new Date().toISOString()]
  const ship = (parcels: number) => scene.send('shipment.booked', { parcels, to: 'Turku' }, id, timestamp)
  const first = await ship(2)
  await ship(2)
  return [first, await ship(3)]
}

/** One that has ended by a poll, one that has been polled and is not done, and two whose webhooks may still come. Resolves with the uid of the event that ended one. */
async function waitForTasks(scene: Scene, provider: FakeProvider): Promise<string> {
  const track = async (taskId: string, maxWaitMs: number) =>
    scene.post('/v1/tasks', { source: 'ai', task_id: taskId, max_wait_ms: maxWaitMs })
  for (const taskId of ['task_harbour', 'task_storm', 'task_lighthouse', 'task_anchor']) provider.create(taskId)
  provider.finish('task_lighthouse', 'completed')
  for (const taskId of ['task_harbour', 'task_storm']) await track(taskId, 3_600_000)
  await track('task_lighthouse', 0)
  await track('task_anchor', 0)
  const { event_uid: ended } = await eventually(
    () => scene.api('/v1/tasks/ai/task_lighthouse'),
    ({ status }) => status === 'completed',
  )
  await eventually(
    async () => provider.seen.polls.get('task_anchor') ?? 0,
    (polls) => polls > 0,
  )
  return ended
}

const invoice = (number: number) => ({
  id: `in_1QX7aRKZ4rjE2Tn${number}`,
  number: 4_100 + number,
  customer: 'cus_9s6XKzkNRiz8i3',
  customer_name: 'Zoë \u202egnidliuB\0',
  description: '<script>alert(1)</script> Annual plan',
  amount_paid: 48_000,
  currency: 'eur',
  account: 9_007_199_254_740_993n.toString(),
  lines: Array.from({ length: 3 }, (_, line) => ({
    id: `il_${line}`,
    amount: 16_000,
    period: { start: 1_764_124_861, end: 1_795_660_861 },
  })),
  metadata: { campaign: 'autumn', note: 'blue bicycle' },
})

const refused = (): RequestInit => ({
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    'stripe-signature': `t=${Math.floor(Date.now() / 1_000)},v1=${'0'.repeat(64)}`,
  },
  body: JSON.stringify({ id: `evt_${randomUUID()}`, object: 'event', type: 'invoice.paid', data: { object: {} } }),
})

/** Numbers as the service would have counted them over the past day. */
async function seedDay(databaseUrl: string): Promise<void> {
  const store = await openStore(databaseUrl, {})
  const endMs = Date.now()
  let nowMs = endMs - DAY_MS
  const names = new Set(Object.keys(SOURCES))
  const recorder = new StatsRecorder({ store, sources: () => names, receives: true, clock: () => nowMs })
  for (; nowMs < endMs - MINUTE_MS; nowMs += MINUTE_MS) {
    const hour = (nowMs % DAY_MS) / (60 * MINUTE_MS)
    const light = 0.25 + 0.75 * Math.max(0, Math.sin(((hour - 5) / 18) * Math.PI)) * (1 + 0.2 * Math.sin(nowMs / 1e6))
    for (const [source, { noon, silent }] of Object.entries(SOURCES))
      if (endMs - nowMs > silent * MINUTE_MS) countMinute(recorder, source, Math.round((noon / 60) * light))
    recorder.present() // notes that the service ran in this minute
    if (nowMs % (10 * MINUTE_MS) < MINUTE_MS) await writeWith(recorder, store, nowMs)
  }
  await writeWith(recorder, store, nowMs)
  await store.close()
}

/** Numbers are written together with events. */
async function writeWith(recorder: StatsRecorder, store: OpenStore, atMs: number): Promise<void> {
  const isWritten = recorder.flush()
  const uid = newUid()
  await store.append({
    uid,
    source: 'ai',
    provider: 'ai',
    id: `evt_${uid}`,
    type: 'completion.finished',
    createdAt: new Date(atMs).toISOString(),
    createdAtSource: 'provider',
    receivedAtMs: atMs,
    origin: 'webhook',
    status: 'unhandled',
    reasons: [],
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ type: 'completion.finished', data: { total_tokens: 650 } })),
    handlers: [],
  })
  await isWritten
}

function countMinute(recorder: StatsRecorder, source: string, count: number): void {
  for (let each = 0; each < count; each++) {
    const luck = Math.random()
    recorder.request(source, 'accepted')
    recorder.received(source)
    recorder.acknowledged(source, 0.002 + 0.003 * luck ** 6)
    recorder.started(source, 'ledger', 0.01 + 0.6 * luck ** 20)
    if (luck > 0.995) recorder.failed(source, 'order.created', 'orders', 0.3)
    else recorder.processed(source, 'order.created', 'ledger', 0.01)
  }
}

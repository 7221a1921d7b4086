import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import { openStore } from '../../src/storage/open.ts'
import { memoryDirectory } from '../support/sqlite/store.ts'
import { ALL_HOSTILE, HOSTILE, HOSTILE_NAME, hostile, UNSEEN } from './hostile-text.ts'
import { type Scene, startScene } from './scene.ts'

const MIB = 1_048_576

/** A service whose every text that comes from outside is hostile: some of them could only be written into its store. */
export async function startHostile(): Promise<Scene> {
  const directory = memoryDirectory()
  const dead = await seed(`file:${join(directory, 'holdfast.db')}`)
  const scene = await startScene(
    {
      HANDLERS_DIR: join(import.meta.dirname, 'hostile-handlers'),
      SOURCE_AI_API_URL: await hostileProvider(),
      SOURCE_AI_API_KEY: 'key-of-the-hostile-provider',
      PUBLIC_URL: 'https://hooks.example.com',
    },
    { directory },
  )
  // Only events that can be read again reach their handler, whose errors are hostile.
  for (const at of HOSTILE.keys()) await scene.send(HOSTILE[at] ?? '', { [hostile(at)]: hostile(at + 1) })
  await scene.settled(dead + HOSTILE.length)
  await askHostile(scene)
  await expectHostile(scene)
  return scene
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

const payloads: readonly Buffer[] = [
  json({
    [ALL_HOSTILE]: ALL_HOSTILE,
    list: [...HOSTILE, UNSEEN],
    deep: { [HOSTILE[1]]: { [HOSTILE[0]]: HOSTILE[2] } },
  }),
  Buffer.from(
    `{"half":"\\ud800","\\udfff":"half","twice":1,"twice":"<script>hit(8)</script>","digits":9007199254740993}`,
  ),
  Buffer.from(`<html><script>hit("body")</script>${ALL_HOSTILE}`),
  json({ long: `<script>hit(9)</script>${'x'.repeat(MIB - 100)}` }),
  json({ list: Array.from({ length: 400 }, (_, at) => ({ [`${at}`]: HOSTILE[at % HOSTILE.length] })) }),
  json(JSON.parse(`${'['.repeat(60)}"<img src=x onerror=hit(10)>"${']'.repeat(60)}`)),
  Buffer.from([0xff, 0xfe, 0x00, 0x1b, 0x5b, 0x33, 0x3c, 0x62, 0x3e]),
]

const eventOf = (body: Uint8Array, at: number, more: Partial<NewEvent> = {}): NewEvent => ({
  uid: newUid(),
  source: 'shop',
  provider: 'standard',
  id: `${hostile(at)} ${at}`,
  type: hostile(at + 1),
  createdAt: new Date().toISOString(),
  createdAtSource: 'provider',
  receivedAtMs: Date.now(),
  origin: 'webhook',
  status: 'accepted',
  reasons: [],
  apiVersion: hostile(at + 2),
  task: hostile(at + 3),
  traceparent: hostile(at + 4),
  headers: { 'content-type': 'application/json', 'x-hostile': hostile(at + 5), [HOSTILE[1]]: HOSTILE[0] },
  body,
  handlers: [HOSTILE_NAME],
  ...more,
})

/** Resolves with the number of deliveries that will be dead. */
async function seed(databaseUrl: string): Promise<number> {
  const store = await openStore(databaseUrl, {})
  for (const [at, body] of payloads.entries()) await store.append(eventOf(body, at))
  await store.append(
    eventOf(json({ q: 1 }), 7, { status: 'quarantined', reasons: [hostile(0), hostile(4)], handlers: [] }),
  )
  const { uid: event } = await store.append(eventOf(json({ q: 2 }), 8, { id: 'same' }))
  await store.append(eventOf(json({ q: ALL_HOSTILE }), 9, { id: 'same' }))
  const entry = {
    source: 'shop',
    type: ALL_HOSTILE,
    atMs: Date.now(),
    event,
    from: ALL_HOSTILE,
    to: HOSTILE[0],
  }
  const entries = [ALL_HOSTILE, ...HOSTILE].map((path) => ({ ...entry, path, what: 'changed' as const }))
  await store.saveShape({ source: 'shop', type: ALL_HOSTILE, version: 0, shape: '{}', savedAtMs: Date.now(), entries })
  await store.close()
  return payloads.length + 1
}

/** Answers every poll with a state that is hostile, and fails for other tasks with an error that is. */
async function hostileProvider(): Promise<string> {
  const server = createServer(({ url }, answer) => {
    if (url?.includes('fails') === true) answer.writeHead(500, ALL_HOSTILE.replaceAll(/[^ -~]/g, ''))
    const webhooks = [{ id: HOSTILE[1], url: HOSTILE[4], events: [...HOSTILE, UNSEEN], active: true }]
    answer.end(JSON.stringify({ status: HOSTILE_NAME, error: ALL_HOSTILE, message: ALL_HOSTILE, webhooks }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What persons and programs send to the API. */
async function askHostile(scene: Scene): Promise<void> {
  const printable = ALL_HOSTILE.replaceAll(/[^ -~]/g, '')
  const headers = { 'user-agent': printable, 'x-holdfast-user': printable }
  for (const id of ['<script>hit(11)</script>', 'fails"><img src=x onerror=hit(12)>'])
    await scene.post('/v1/tasks', { source: 'ai', task_id: id, metadata: { [ALL_HOSTILE]: ALL_HOSTILE } }, headers)
  for (const id of ['<script>hit(11)</script>', 'fails"><img src=x onerror=hit(12)>'])
    await scene.post(`/v1/tasks/ai/${encodeURIComponent(id)}/poll`, {}, headers)
  await scene.post(`/v1/tasks/ai/${encodeURIComponent(HOSTILE_NAME)}/poll`, {}, headers)
  await scene.post(`/v1/handlers/${encodeURIComponent(HOSTILE[0])}/pause`, { reason: HOSTILE[0] }, headers)
  await scene.post('/v1/handlers/quiet/pause', { reason: HOSTILE.slice(0, 4).join(' ') }, headers)
  await scene.post('/v1/sources/ai/pause', { reason: UNSEEN.replace('\0', '') }, headers)
  await scene.post('/v1/replays', { filter: { type: HOSTILE[1], q: HOSTILE[0] }, handler: 'quiet' }, headers)
  await scene.post('/v1/replays', { filter: { contains: HOSTILE[0], source: 'shop' }, handler: 'quiet' }, headers)
}

/** What was to be hostile is so: a test of pages without it would prove nothing. */
async function expectHostile({ api }: Pick<Scene, 'api'>): Promise<void> {
  const [tasks, dead, replays, audit] = await Promise.all(
    ['/v1/tasks', '/v1/deliveries?state=dead', '/v1/replays', '/v1/audit'].map(async (path) => (await api(path)).items),
  )
  expect(tasks.map(({ provider_status }: { provider_status: string }) => provider_status)).toContain(HOSTILE_NAME)
  expect(JSON.stringify(tasks)).toContain('last_error":"')
  expect(dead.some(({ last_error }: { last_error: string }) => last_error.includes(HOSTILE[0]))).toBe(true)
  const { deliveries } = await api(
    `/v1/events/${dead.find(({ last_error }: { last_error: string }) => last_error.includes(HOSTILE[0])).event_uid}`,
  )
  expect(JSON.stringify(deliveries)).toContain('answer":{"from":"')
  expect(replays.length).toBe(2)
  expect(audit.length).toBeGreaterThan(9)
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { newEvent } from '../contract/store-samples.ts'
import { post, type SignedEvent, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, mainFile, type Service, startService, temporaryDirectory } from '../support/service.ts'

const STORED_BEFORE = 40_000
const CHUNK = 2_000
const SENDERS = 16
const BACKUPS = 3
const LOAD_MS = 3_000
/** Each so-manieth event fails for good. */
const FAILS_EVERY = 50
const TYPE = 'backup.probe'

const handler = (repaired: boolean): string =>
  `export default (router) => router.on('${TYPE}', { name: 'probe' }, (event, context) => {
     if (event.data.fails && !${repaired}) context.fail('not repaired')
   })`

/** What a backup must have: the text of each body by the event's uid. */
type Acknowledged = ReadonlyMap<string, SignedEvent>

class Load {
  readonly acknowledged = new Map<string, SignedEvent>()
  readonly refused: number[] = []
  times: number[] = []
  #isEnded = false
  readonly #running: Promise<unknown>

  constructor({ publicUrl }: Service) {
    let n = 0
    const send = async (): Promise<void> => {
      while (!this.#isEnded) {
        const event = signedEvent(TYPE, { fails: ++n % FAILS_EVERY === 0, text: 'x'.repeat(500) })
        const { status, uid, ms } = await post(publicUrl, event)
        if (status === 200) this.acknowledged.set(uid, event)
        else this.refused.push(status)
        this.times.push(ms)
      }
    }
    this.#running = Promise.all(Array.from({ length: SENDERS }, send))
  }

  /** The 99th percentile of the acknowledgements since the last call, and how many there were in a second. */
  measured(): { p99Ms: number; count: number } {
    const times = this.times.toSorted((one, other) => one - other)
    this.times = []
    return { p99Ms: Math.round(times[Math.floor(times.length * 0.99)] ?? 0), count: times.length }
  }

  async end(): Promise<void> {
    this.#isEnded = true
    await this.#running
  }
}

async function command(args: readonly string[], environment: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [mainFile, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err] = await Promise.all([child.stdout.toArray(), child.stderr.toArray(), once(child, 'close')])
  return { code: child.exitCode, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }
}

async function fill(databaseUrl: string): Promise<void> {
  const store = await openStore(databaseUrl)
  for (let at = 0; at < STORED_BEFORE; at += CHUNK)
    await Promise.all(
      Array.from({ length: CHUNK }, () =>
        store.append(newEvent({ receivedAtMs: Date.now(), body: Buffer.alloc(500, 'b'), handlers: [] })),
      ),
    )
  await store.close()
}

/** The events that a backup lacks, or has with another body. */
function missingIn(file: string, acknowledged: Acknowledged): readonly string[] {
  const db = new DatabaseSync(file, { readOnly: true })
  const body = db.prepare('SELECT bytes FROM event JOIN event_body USING (key) WHERE uid = ?')
  const missing = [...acknowledged].filter(([uid, event]) => {
    const bytes = body.get(uid)?.bytes
    return !(bytes instanceof Uint8Array) || Buffer.from(bytes).toString() !== event.body
  })
  db.close()
  return missing.map(([uid]) => uid)
}

/** A service on what was restored knows what was sent, runs what was pending, and replays dead letters. */
async function checkRestored(restored: Service, acknowledged: Acknowledged, environment: Record<string, string>) {
  for (const event of [...acknowledged.values()].slice(-20))
    expect(await post(restored.publicUrl, event)).toMatchObject({ status: 200, duplicate: true })
  expect(await post(restored.publicUrl, signedEvent(TYPE))).toMatchObject({ status: 200, duplicate: false })
  const [uid] = [...acknowledged.keys()]
  expect(await restored.api(`/v1/events/${uid}`)).toMatchObject({ uid })
  const deadBefore = (await restored.api('/v1/deliveries?state=dead&limit=1')).items
  expect(deadBefore).toHaveLength(1)
  const replayed = await command(['dead', 'replay', deadBefore[0].event_uid], {
    ...environment,
    OPS_PORT: new URL(restored.opsUrl).port,
  })
  expect(replayed).toMatchObject({ code: 0 })
  await eventually(
    () => restored.api(`/v1/events/${deadBefore[0].event_uid}`),
    ({ deliveries }) => deliveries[0].state === 'succeeded',
    60_000,
  )
}

async function backUpUnderLoad(databaseUrl: string, directory: string) {
  await fill(databaseUrl)
  const environment = { DATABASE_URL: databaseUrl, HANDLER_PROCESSES: '1', LOG_LEVEL: 'warn' }
  const modules = handlersIn(directory, { 'probe.js': handler(false) })
  const service = await startService({ ...environment, LOG_LEVEL: 'info', HANDLERS_DIR: modules }, directory)
  const load = new Load(service)
  await new Promise((resolve) => setTimeout(resolve, LOAD_MS))
  const without = load.measured()
  let last: { file: string; acknowledged: Acknowledged } | undefined
  await eventually(
    () => service.api('/v1/deliveries?state=dead&limit=1'),
    ({ items }) => items.length > 0,
  )
  for (let n = 1; n <= BACKUPS; n++) {
    const file = join(directory, `backup-${n}.db`)
    const acknowledged = new Map(load.acknowledged)
    const startedMs = performance.now()
    const { code, out, err } = await command(['backup', file, '--json'], environment)
    expect([code, err]).toEqual([0, expect.not.stringContaining('backup:')])
    const tookMs = performance.now() - startedMs
    const during = load.measured()
    const { rows, bytes } = JSON.parse(out)
    console.log(
      `backup ${n}: ${rows.event} events, ${Math.round(bytes / 1e6)} MB in ${Math.round(tookMs)} ms; ${acknowledged.size} acknowledged before; ack p99 ${during.p99Ms} ms at ${Math.round((during.count / tookMs) * 1_000)}/s, without a backup ${without.p99Ms} ms at ${Math.round((without.count / LOAD_MS) * 1_000)}/s`,
    )
    expect(missingIn(file, acknowledged)).toEqual([])
    expect(rows.event).toBeGreaterThanOrEqual(STORED_BEFORE + acknowledged.size)
    last = { file, acknowledged }
    await new Promise((resolve) => setTimeout(resolve, LOAD_MS / 3))
  }
  await load.end()
  expect(load.refused).toEqual([])
  expect(await service.stop()).toBe(0)
  if (last === undefined) throw new Error('no backup')
  return { ...last, environment }
}

const repairedIn = (directory: string): string => handlersIn(join(directory, 'repaired'), { 'probe.js': handler(true) })

test('a backup of an embedded store under full load restores to what was acknowledged before it began, or more', {
  timeout: 600_000,
}, async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'data'))
  mkdirSync(join(directory, 'repaired'))
  mkdirSync(join(directory, 'restored'))
  const { file, acknowledged, environment } = await backUpUnderLoad(
    `file:${join(directory, 'data/holdfast.db')}`,
    directory,
  )
  copyFileSync(file, join(directory, 'restored/holdfast.db'))
  const restoredUrl = `file:${join(directory, 'restored/holdfast.db')}`
  const restored = await startService({ DATABASE_URL: restoredUrl, HANDLERS_DIR: repairedIn(directory) }, directory)
  await checkRestored(restored, acknowledged, environment)
})

test('a backup of PostgreSQL under full load restores to what was acknowledged before it began, or more, into either store', {
  timeout: 600_000,
}, async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'repaired'))
  const { file, acknowledged, environment } = await backUpUnderLoad(ownSchema(), directory)
  const copy = join(directory, 'copy.db')
  copyFileSync(file, copy)
  const url = ownSchema()
  expect(await command(['migrate', '--from', `file:${copy}`, '--to', url], {})).toMatchObject({ code: 0 })
  const modules = repairedIn(directory)
  const shared = await startService({ DATABASE_URL: url, HANDLERS_DIR: modules }, directory)
  await checkRestored(shared, acknowledged, environment)
  await shared.stop()
  const embedded = await startService({ DATABASE_URL: `file:${file}`, HANDLERS_DIR: modules }, directory)
  await checkRestored(embedded, acknowledged, environment)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimRequest, newEvent, settlement } from '../contract/store-samples.ts'
import { newTask } from '../contract/task-samples.ts'
import { post, type SignedEvent, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import { handlersIn, mainFile, startService, temporaryDirectory } from '../support/service.ts'

const EVENTS = 100_000
const TASKS = 10_000
const PENDING = 500
const CHUNK = 2_000
const TYPE = 'move.probe'
/** Of a move of all of it without a pause. */
const MOVE_MS = 120_000

/** Of each event a delivery, all but the last few of them with a history. Gives the last events as they were sent. */
async function fill(store: OpenStore): Promise<readonly SignedEvent[]> {
  let last: readonly SignedEvent[] = []
  for (let at = 0; at < EVENTS; at += CHUNK) {
    last = Array.from({ length: CHUNK }, (_, n) => signedEvent(TYPE, { n: at + n, text: 'x'.repeat(400) }))
    await Promise.all(
      last.map(({ id, body, headers }) =>
        store.append(
          newEvent({
            source: 'ai',
            provider: 'ai',
            id,
            type: TYPE,
            headers,
            body: Buffer.from(body),
            receivedAtMs: Date.now(),
            handlers: ['probe'],
          }),
        ),
      ),
    )
  }
  const request = claimRequest({ handlers: [{ name: 'probe', limit: CHUNK }], sharedLimit: CHUNK, leaseMs: 3_600_000 })
  for (let settled = 0; settled < EVENTS - PENDING; ) {
    const { work } = await store.claim(request)
    const some = work.slice(0, EVENTS - PENDING - settled)
    await store.settle(some.map((one, n) => settlement(one, { verdict: n % 100 === 0 ? 'dead' : 'succeeded' })))
    settled += some.length
  }
  for (let at = 0; at < TASKS; at += CHUNK)
    await Promise.all(Array.from({ length: CHUNK }, () => store.track(newTask({ metadata: '{"a":1}' }))))
  return last
}

function migrate(path: string, url: string) {
  const child = spawn(process.execPath, [mainFile, 'migrate', '--from', `file:${path}`, '--to', url, '--json'], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  return { child, ended: once(child, 'close').then(() => ({ code: child.exitCode, out, err })) }
}

test(`${EVENTS} events are moved to PostgreSQL, also by a migration that is killed halfway, and the service goes on with them`, {
  timeout: 600_000,
}, async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'holdfast.db')
  const store = await openStore(`file:${path}`)
  const sent = await fill(store)
  await store.close()

  const [straight, killed] = [ownSchema(), ownSchema()]
  const startedAt = performance.now()
  const whole = await migrate(path, straight).ended
  const elapsedMs = performance.now() - startedAt
  expect(whole).toMatchObject({ code: 0 })
  const expected = JSON.parse(whole.out)
  const rows = expected.tables.reduce((sum: number, table: { rows: number }) => sum + table.rows, 0)
  console.log(
    `${rows} rows of ${EVENTS} events moved and verified in ${(elapsedMs / 1_000).toFixed(1)} s: ${Math.round((rows / elapsedMs) * 1_000)} rows/s`,
  )
  expect(elapsedMs).toBeLessThan(MOVE_MS)

  const first = migrate(path, killed)
  const events = async () => {
    const [row] = await queryIn<{ n: number }>(killed, 'SELECT count(*)::integer AS n FROM event').catch(() => [])
    return row?.n ?? 0
  }
  await eventually(events, (n) => n >= EVENTS / 2, 60_000)
  first.child.kill('SIGKILL')
  await first.ended
  expect(await events()).toBeLessThan(EVENTS)
  await expect(openStore(killed)).rejects.toThrow('the move is not finished')
  const second = await migrate(path, killed).ended
  expect(second).toMatchObject({ code: 0, err: expect.stringMatching(/^goes on moving event after \d{5} of 100000/m) })
  expect(JSON.parse(second.out)).toEqual({ ...expected, resumed: true })

  const handled = join(directory, 'handled.txt')
  writeFileSync(handled, '')
  const probe = `import { appendFileSync } from 'node:fs'
    export default (router) => router.on('${TYPE}', { name: 'probe' }, (event) => appendFileSync(${JSON.stringify(handled)}, event.id + '\\n'))`
  const service = await startService({
    DATABASE_URL: killed,
    HANDLERS_DIR: handlersIn(directory, { 'probe.ts': probe }),
  })
  expect((await service.api('/v1/events?limit=200')).items).toHaveLength(200)
  for (const event of sent.slice(0, 20))
    expect(await post(service.publicUrl, event)).toMatchObject({ status: 200, duplicate: true })
  const fresh = signedEvent(TYPE)
  expect(await post(service.publicUrl, fresh)).toMatchObject({ status: 200, duplicate: false })
  const ran = () => readFileSync(handled, 'utf8').trimEnd().split('\n')
  await eventually(
    async () => ran().length,
    (n) => n >= PENDING + 1,
    60_000,
  )
  expect(new Set(ran()).size).toBe(PENDING + 1)
  expect(ran()).toContain(fresh.id)
  expect(await service.stop()).toBe(0)
})

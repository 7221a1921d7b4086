import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { handlersIn, mainFile } from '../support/service.ts'

const run = promisify(execFile)
const TOKEN = 'an-operators-token'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-'))
const broken = join(directory, 'broken')
/** The handler fails as long as its file says so. */
const HANDLER = `import { readFileSync } from 'node:fs'
  export default (router) => router.on('invoice.*', { name: 'billing' }, (event, { fail }) => {
    if (readFileSync(${JSON.stringify(broken)}, 'utf8') === 'yes') fail('the ledger is closed') })`

let service: LocalService
let end: (() => Promise<void>) | undefined
beforeAll(async () => {
  const HANDLERS_DIR = handlersIn(directory, { 'billing.js': HANDLER })
  service = await startLocal(
    { HANDLERS_DIR, OPS_TOKEN: TOKEN },
    {
      onEnd: (stop) => {
        end = stop
      },
    },
  )
})
beforeEach(() => writeFileSync(broken, 'yes'))
afterAll(async () => {
  await end?.()
  rmSync(directory, { recursive: true })
})

const mend = (): void => writeFileSync(broken, 'no')

const deadEvents = () =>
  eventually(
    () => service.api('/v1/deliveries?state=dead'),
    ({ items }) => items.length > 0,
  )

const stateOf = async (uid: string) => (await service.api(`/v1/events/${uid}`)).deliveries[0].state

describe('an event whose handler failed for good', () => {
  test('is found, read and replayed to success over HTTP', async () => {
    const event = signedEvent('invoice.paid', { amount: 7 })
    const { uid } = await post(service.publicUrl, event)

    const { items } = await deadEvents()
    expect(items).toMatchObject([
      { event_uid: uid, handler: 'billing', state: 'dead', attempts: 1, last_error: 'the ledger is closed' },
    ])
    const read = await fetch(`${service.opsUrl}/v1/events/${uid}/body`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    expect(await read.text()).toBe(event.body)

    mend()
    await service.api(`/v1/events/${uid}/replay`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ handler: 'billing' }),
    })
    await eventually(
      () => stateOf(uid),
      (state) => state === 'succeeded',
    )
    const { deliveries } = await service.api(`/v1/events/${uid}`)
    expect(deliveries[0].history.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['rejected', 'succeeded'])
  })

  test('is found, read and replayed to success with the command line', { timeout: 60_000 }, async () => {
    const event = signedEvent('invoice.paid', { amount: 7 })
    const { uid } = await post(service.publicUrl, event)
    await deadEvents()
    const { hostname, port } = new URL(service.opsUrl)
    const holdfast = async (...args: string[]): Promise<string> => {
      const env = {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        OPS_HOST: hostname,
        OPS_PORT: port,
        OPS_TOKEN: TOKEN,
        SOURCE_AI_SECRET: 'unused-but-long-enough-secret',
      }
      return (await run(process.execPath, [mainFile, ...args], { cwd: service.directory, env })).stdout
    }

    expect(await holdfast('dead', 'list', '--each')).toContain(uid)
    const [dead] = JSON.parse(await holdfast('dead', 'list', '--each', '--json')).items
    expect(dead).toMatchObject({ event_uid: uid, handler: 'billing', last_error: 'the ledger is closed' })
    expect(await holdfast('events', 'show', uid)).toContain('the ledger is closed')
    expect(await holdfast('events', 'show', uid, '--body')).toBe(event.body)
    expect(await holdfast('events', 'list', '--type', 'invoice.*')).toContain('invoice.paid')

    mend()
    await holdfast('dead', 'replay', uid)
    await eventually(
      () => stateOf(uid),
      (state) => state === 'succeeded',
    )
    expect(JSON.parse(await holdfast('dead', 'list', '--each', '--json')).items).toEqual([])
  })
})

test('every route of the ops API but health requires the token', async () => {
  for (const path of [
    '/metrics',
    '/v1/events',
    '/v1/events/x',
    '/v1/deliveries',
    '/v1/sources',
    '/v1/handlers',
    '/openapi.json',
    '/nothing',
  ]) {
    const { status, headers } = await fetch(`${service.opsUrl}${path}`)
    expect(status, path).toBe(401)
    expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect((await fetch(`${service.opsUrl}${path}`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401)
  }
  for (const path of ['/livez', '/readyz']) expect((await fetch(`${service.opsUrl}${path}`)).status).toBe(200)
})

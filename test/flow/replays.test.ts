import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ReplayDetailJson } from '../../src/http/schemas/replays.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { handlersIn } from '../support/service.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-'))
const broken = join(directory, 'broken')
/** As long as the file says so, `billing` fails for good and `ledger` for an hour; `slow` takes its time for what is replayed. */
const HANDLERS = `import { readFileSync } from 'node:fs'
  export default (router) => {
    router.on('invoice.*', { name: 'billing' }, (event, { fail }) => {
      if (readFileSync(${JSON.stringify(broken)}, 'utf8') === 'yes') fail('the ledger is closed')
    })
    router.on('invoice.*', { name: 'audit' }, () => {})
    router.on('refund.*', { name: 'ledger' }, (event, { retryAfter }) => {
      if (readFileSync(${JSON.stringify(broken)}, 'utf8') === 'yes') retryAfter(3_600_000)
    })
    router.on('refund.*', { name: 'mail' }, () => {})
    router.on('slow.*', { name: 'slow', concurrency: 4 }, () => new Promise((end) => setTimeout(end, 200)))
  }`

let service: LocalService
let end: (() => Promise<void>) | undefined
beforeAll(async () => {
  service = await startLocal(
    { HANDLERS_DIR: handlersIn(directory, { 'billing.js': HANDLERS }) },
    {
      onEnd: (stop) => {
        end = stop
      },
    },
  )
})
beforeEach(() => writeFileSync(broken, 'no'))
afterAll(async () => {
  await end?.()
  rmSync(directory, { recursive: true })
})

let runs = 0
/** Events of a type of their own that their handlers have ended with. Resolves with the type and the uids. */
async function ended(
  kind: 'invoice' | 'slow',
  count: number,
): Promise<{ readonly type: string; readonly uids: readonly string[] }> {
  const type = `${kind}.run_${++runs}`
  const uids = await Promise.all(
    Array.from({ length: count }, async () => (await post(service.publicUrl, signedEvent(type))).uid),
  )
  for (const uid of uids) await eventually(() => service.api(`/v1/events/${uid}`), isEnded)
  return { type, uids }
}
const isEnded = ({ deliveries }: { deliveries: { state: string }[] }): boolean =>
  deliveries.every(({ state }) => state === 'succeeded' || state === 'dead')

const create = async (
  order: object,
): Promise<{ status: number; body: { id: string; matched: number; detail?: string } }> =>
  service.post('/v1/replays', order)
const show = (id: string): Promise<ReplayDetailJson> => service.api(`/v1/replays/${id}`)
const sumOf = ({ outcomes }: ReplayDetailJson, field: 'pending' | 'succeeded' | 'dead'): number =>
  outcomes.reduce((sum, outcome) => sum + outcome[field], 0)
const whenOver = (id: string): Promise<ReplayDetailJson> =>
  eventually(
    () => show(id),
    (job) => job.state !== 'running' && job.state !== 'queued' && sumOf(job, 'pending') === 0,
    20_000,
  )

test('a replay by filter runs what matches again, tells what became of it by handler, and marks the attempts', async () => {
  writeFileSync(broken, 'yes')
  const { type, uids } = await ended('invoice', 40)
  writeFileSync(broken, 'no')
  const dry = await create({ filter: { type }, dry_run: true })
  expect(dry).toMatchObject({ status: 200, body: { matched: 40 } })
  expect((dry.body as unknown as { sample: { uid: string }[] }).sample).toHaveLength(5)

  const { status, body } = await create({ filter: { type } })
  expect([status, body.matched]).toEqual([202, 40])
  const job = await whenOver(body.id)
  expect(job).toMatchObject({ state: 'done', matched: 40, replayed: 40, skipped: 0, filter: { type } })
  const none = { pending: 0, failing: 0, dead: 0, discarded: 0 }
  expect(job.outcomes).toEqual([
    { handler: 'audit', ...none, succeeded: 40 },
    { handler: 'billing', ...none, succeeded: 40 },
  ])
  const { deliveries } = await service.api(`/v1/events/${uids[0]}`)
  const replays = deliveries.map(({ history }: { history: { replay?: string }[] }) =>
    history.map((each) => each.replay),
  )
  expect(replays).toEqual([
    [undefined, body.id],
    [undefined, body.id],
  ])
  expect((await service.api('/v1/replays')).items[0]).toMatchObject({ id: body.id, state: 'done' })
})

test('a replay of dead deliveries leaves alone what has succeeded', async () => {
  writeFileSync(broken, 'yes')
  const { type } = await ended('invoice', 3)
  writeFileSync(broken, 'no')
  const { body } = await create({ filter: { type, outcome: 'dead' } })
  const job = await whenOver(body.id)
  expect(job.outcomes).toMatchObject([{ handler: 'billing', succeeded: 3 }])
  expect(job).toMatchObject({ matched: 3, replayed: 3 })
})

test('a replay of what is failing makes it due at once, and leaves alone what has succeeded', async () => {
  writeFileSync(broken, 'yes')
  const type = `refund.run_${++runs}`
  const { uid } = await post(service.publicUrl, signedEvent(type))
  const isTried = ({ deliveries }: { deliveries: { history: unknown[]; state: string }[] }): boolean =>
    deliveries.every(({ history, state }) => history.length > 0 && state !== 'running')
  await eventually(() => service.api(`/v1/events/${uid}`), isTried)
  writeFileSync(broken, 'no')
  const { body } = await create({ filter: { type, outcome: 'failing' } })
  const job = await whenOver(body.id)
  expect(job).toMatchObject({ matched: 1, replayed: 1, skipped: 0, filter: { type, outcome: 'failing' } })
  expect(job.outcomes).toMatchObject([{ handler: 'ledger', succeeded: 1 }])
})

test('discarded deliveries are replayed by their cause, although none is dead of it any more', async () => {
  writeFileSync(broken, 'yes')
  const { type, uids } = await ended('invoice', 2)
  writeFileSync(broken, 'no')
  const { deliveries } = await service.api(`/v1/events/${uids[0]}`)
  const { cause } = deliveries.find(({ state }: { state: string }) => state === 'dead')
  await service.post('/v1/deliveries/discard', { filter: { cause } })
  const { body } = await create({ filter: { type, outcome: 'discarded', cause } })
  expect(await whenOver(body.id)).toMatchObject({ replayed: 2, outcomes: [{ handler: 'billing', succeeded: 2 }] })
})

test('a replay takes only the events whose payload matches', async () => {
  const type = `invoice.run_${++runs}`
  const sent = []
  for (const customer of ['cus_1', 'cus_2']) sent.push(await post(service.publicUrl, signedEvent(type, { customer })))
  for (const { uid } of sent) await eventually(() => service.api(`/v1/events/${uid}`), isEnded)
  const filter = { type, match: ['data.customer:cus_2'] }
  const dry = (await create({ filter, dry_run: true })).body as unknown as { sample: { uid: string }[] }
  expect(dry.sample.map(({ uid }) => uid)).toEqual([sent[1]?.uid])
  const job = await whenOver((await create({ filter: { ...filter, contains: 'CUS_2' } })).body.id)
  expect(job).toMatchObject({ matched: 1, replayed: 1, filter: { ...filter, contains: 'CUS_2' } })
})

test('a replay names an event that its handler does not want as skipped, and one handler alone runs if it is named', async () => {
  const [one, other] = [await ended('invoice', 2), await ended('slow', 1)]
  const { body } = await create({ filter: { q: `run_`, type: '*' }, handler: 'audit' })
  const job = await whenOver(body.id)
  expect(job.outcomes.map(({ handler }) => handler)).toEqual(['audit'])
  expect(job.skips.not_wanted).toBeGreaterThan(0)
  expect(job.replayed).toBeGreaterThan(1)
  expect([one.uids.length, other.uids.length]).toEqual([2, 1])
})

test('nothing is made of an order that names what does not exist, or that would replay everything by mistake', async () => {
  const before = (await service.api('/v1/replays')).items.length
  const cases: readonly [object, number, string][] = [
    [{ filter: {} }, 400, 'all: true'],
    [{ filter: { match: [] } }, 400, 'all: true'],
    [{ filter: { handler: 'biling' } }, 404, 'there is no handler biling'],
    [{ filter: { type: 'x' }, handler: 'biling' }, 404, 'there is no handler biling'],
    [{ filter: { source: 'strip' } }, 404, 'there is no source strip'],
    [{ filter: { typ: 'x' } }, 400, 'typ'],
    [{ filter: { cause: 'nope' } }, 400, 'no delivery is dead of the cause nope'],
    [{ filter: { outcome: 'nope' } }, 400, 'outcome'],
    [{ filter: { type: 'x' }, per_second: 0 }, 400, 'per_second'],
    [{}, 400, 'filter'],
  ]
  for (const [order, status, detail] of cases) {
    const answer = await create(order)
    expect(answer.status, JSON.stringify(order)).toBe(status)
    expect(answer.body.detail).toContain(detail)
  }
  expect((await service.api('/v1/replays')).items).toHaveLength(before)
  expect((await create({ filter: {}, all: true, dry_run: true })).status).toBe(200)
})

test('an event that arrives during a replay of a slow handler runs at once; the same replay is refused meanwhile, and a cancelled one stops', async () => {
  const { type } = await ended('slow', 60)
  const { body } = await create({ filter: { type } })
  await eventually(
    () => show(body.id),
    ({ replayed }) => replayed > 2,
  )
  const again = await create({ filter: { type } })
  expect([again.status, again.body.detail]).toEqual([409, `replay ${body.id} does the same and is running`])

  const { uid } = await post(service.publicUrl, signedEvent(type))
  await eventually(() => service.api(`/v1/events/${uid}`), isEnded)
  expect(await show(body.id)).toMatchObject({ state: 'running' })

  expect(await service.api(`/v1/replays/${body.id}`, { method: 'DELETE' })).toMatchObject({ state: 'cancelled' })
  const { replayed } = await show(body.id)
  expect(replayed).toBeLessThan(60)
  const job = await whenOver(body.id)
  expect([job.replayed, sumOf(job, 'succeeded')]).toEqual([replayed, replayed])
})

test('a probe that fails stops the replay before the others run, and one that succeeds lets them', async () => {
  const { type } = await ended('invoice', 5)
  writeFileSync(broken, 'yes')
  const failed = await whenOver((await create({ filter: { type }, handler: 'billing', probe: true })).body.id)
  expect(failed).toMatchObject({
    state: 'stopped',
    reason: 'the ledger is closed',
    replayed: 1,
    probe: { state: 'failed', outcome: 'rejected', error: 'the ledger is closed' },
    outcomes: [{ handler: 'billing', dead: 1 }],
  })
  writeFileSync(broken, 'no')
  const passed = await whenOver((await create({ filter: { type }, handler: 'billing', probe: true })).body.id)
  expect(passed).toMatchObject({ state: 'done', replayed: 5, probe: { state: 'succeeded', uid: failed.probe?.uid } })
  expect(passed.outcomes).toMatchObject([{ handler: 'billing', succeeded: 5 }])
})

test('a replay with a rate keeps to it, and one that does not exist is not found', async () => {
  const { type } = await ended('invoice', 12)
  const startedAtMs = performance.now()
  const job = await whenOver((await create({ filter: { type }, per_second: 10 })).body.id)
  expect(job.replayed).toBe(12)
  expect(performance.now() - startedAtMs).toBeGreaterThan(900)
  for (const method of ['GET', 'DELETE'])
    expect(await service.api('/v1/replays/none', { method })).toMatchObject({ status: 404 })
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService
let mended: string

beforeAll(async () => {
  service = await startLocal({ HANDLERS_DIR: join(import.meta.dirname, 'modules') })
})
beforeEach(({ task }) => {
  mended = join(service.directory, task.id)
})

const holdfast = (...args: string[]) => run(args, service.environment)

/** Events that the fragile handler has given up. */
async function givenUp(count: number): Promise<readonly string[]> {
  const uids = []
  for (let n = 0; n < count; n++) uids.push((await post(service.publicUrl, signedEvent('acme.thing', { mended }))).uid)
  for (const uid of uids)
    await eventually(
      () => service.api(`/v1/events/${uid}`),
      ({ deliveries }) => deliveries.every(({ state }: { state: string }) => state === 'dead' || state === 'succeeded'),
    )
  return uids
}
const since = (): string => new Date().toISOString()

test('replays create says what matches, replays it, and shows what became of it by handler', async () => {
  const from = since()
  await givenUp(3)
  writeFileSync(mended, '')
  const dry = await holdfast('replays', 'create', '--type', 'acme.*', '--since', from, '--dry-run')
  expect(dry).toMatchObject({ code: 0, out: expect.stringMatching(/^3 events match\nRECEIVED/) })
  const { code, err } = await holdfast('replays', 'create', '--type', 'acme.*', '--since', from, '--yes', '--wait')
  expect(code).toBe(0)
  expect(err).toMatch(
    /^HANDLER +SUCCEEDED +PENDING +FAILING +DEAD +DISCARDED\nfragile +3 +0 +0 +0 +0\nsteady +3 +0 +0 +0 +0\n3 replayed$/m,
  )

  const list = await holdfast('replays', 'list')
  expect(list.out).toMatch(/^CREATED .*FILTER\n.* done +3 +3 +0 +- +type=acme\.\* since=\S+$/m)
  const [{ id }] = JSON.parse((await holdfast('replays', 'list', '--json')).out).items
  const shown = await holdfast('replays', 'show', id)
  expect(shown.out).toMatch(/^state +done$/m)
  expect(shown.out).toMatch(/^fragile +3 +0 +0 +0 +0$/m)
  expect(await holdfast('replays', 'cancel', id)).toMatchObject({
    code: 1,
    err: `holdfast replays cancel: replay ${id} has ended already: it is done\n`,
  })
})

test('events replay with a filter asks before it replays, and refuses without a terminal to ask on', async () => {
  const from = since()
  await givenUp(2)
  const refused = await holdfast('events', 'replay', '--since', from)
  expect(refused).toMatchObject({ code: 2, out: '' })
  expect(refused.err).toMatch(/^2 events match\n/)
  expect(refused.err).toMatch(/there is no terminal to ask on, so say --yes to replay them\n$/)
  writeFileSync(mended, '')
  const asked = await run(
    ['events', 'replay', '--since', from, '--handler', 'fragile'],
    service.environment,
    'y\n',
    true,
  )
  expect(asked.code).toBe(0)
  const [, id = ''] = /^replay (\S+) runs: holdfast replays show \S+\n$/.exec(asked.out) ?? []
  const job = await eventually(
    () => service.api(`/v1/replays/${id}`),
    ({ outcomes }) => outcomes[0]?.succeeded === 2,
  )
  expect(job).toMatchObject({ handler: 'fragile', replayed: 2, by: expect.stringContaining('127.0.0.1') })
})

test('dead replay --all --probe stops after one event that fails again, with its error', async () => {
  await givenUp(3)
  const { code, err } = await holdfast('dead', 'replay', '--all', '--yes', '--probe')
  expect(code).toBe(1)
  expect(err).toMatch(/^stopped, because the probe failed: not mended yet.*\n1 replayed$/m)
  writeFileSync(mended, '')
  expect(await holdfast('dead', 'replay', '--all', '--yes', '--probe', '--wait')).toMatchObject({
    code: 0,
    err: expect.stringMatching(/^the probe \S+ succeeded\nHANDLER/m),
  })
})

test('replays show says how many events did not match any more when their turn came', async () => {
  const from = since()
  await givenUp(2)
  await holdfast('drain')
  await holdfast('replays', 'create', '--outcome', 'dead', '--since', from, '--handler', 'fragile', '--yes')
  await holdfast('dead', 'discard', '--handler', 'fragile', '--yes')
  await holdfast('drain', '--off')
  const {
    items: [{ id }],
  } = await eventually(
    () => service.api('/v1/replays'),
    ({ items: [job] }) => job.state === 'done',
  )
  const { out } = await holdfast('replays', 'show', id)
  expect(out).toMatch(/^matched +2$/m)
  expect(out).toMatch(/^0 replayed\n2 did not match any more when their turn came$/m)
})

test.each([
  [['replays', 'create'], 2, 'say which events: by a filter such as --type or --since, or --all'],
  [['replays', 'create', '--all', '--type', 'x'], 2, '--all and a filter exclude each other'],
  [['replays', 'create', '--type', 'x', '--yes', '--dry-run'], 2, '--yes and --dry-run exclude each other'],
  [['replays', 'create', '--type', 'x', '--per-second', '0'], 2, '--per-second is a whole number from 1 to 100000'],
  [['replays', 'create', '--type', 'x', '--handler', 'nope'], 4, 'there is no handler nope; known are'],
  [['replays', 'create', '--source', 'nope'], 4, 'there is no source nope; known are ai'],
  [['events', 'replay', 'a-uid', '--type', 'x'], 2, '--type is for many events, and a-uid is one'],
  [['dead', 'replay', 'a-uid', '--cause', 'x'], 2, '--cause goes with --all'],
  [['replays', 'show', 'nope'], 4, 'there is no replay nope'],
  [['replays', 'cancel', 'nope'], 4, 'there is no replay nope'],
])('%j is refused, and nothing is replayed', async (args, code, message) => {
  const result = await holdfast(...args)
  expect([result.code, result.out]).toEqual([code, ''])
  expect(result.err).toContain(message)
})

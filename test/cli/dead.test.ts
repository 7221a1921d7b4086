import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService
/** The fragile handler gives up events of this test until this file is there. */
let mended: string

beforeAll(async () => {
  service = await startLocal({ HANDLERS_DIR: join(import.meta.dirname, 'modules'), LOG_LEVEL: 'info' })
})

beforeEach(({ task }) => {
  mended = join(service.directory, task.id)
})

const dead = (...args: string[]) => run(['dead', ...args], service.environment)

const listed = async (...args: string[]) =>
  JSON.parse((await dead('list', '--each', '--json', '--limit', '1000', ...args)).out).items

/** Sends an event, and gives its uid when the fragile handler has given it up. */
async function giveUp(): Promise<string> {
  const { uid } = await post(service.publicUrl, signedEvent('acme.thing', { mended }))
  await eventually(statesOf(uid), ({ fragile, steady }) => fragile === 'dead' && steady === 'succeeded')
  return uid
}

const statesOf = (uid: string) => async () => {
  const { deliveries } = await service.api(`/v1/events/${uid}`)
  return Object.fromEntries(deliveries.map((d: { handler: string; state: string }) => [d.handler, d.state]))
}

test('dead list --each lists dead letters with the reason for each', async () => {
  const uid = await giveUp()
  const { code, out } = await dead('list', '--each')
  expect(code).toBe(0)
  const [, line = '', ...more] = out.trimEnd().split('\n')
  expect(more).toEqual([])
  expect(line.split(/ {2,}/).slice(1)).toEqual([uid, 'ai', 'acme.thing', 'fragile', '1', 'not mended yet [31mred'])
  expect(await listed('--handler', 'fragile')).toMatchObject([{ event_uid: uid, state: 'dead' }])
  expect(await listed('--handler', 'steady')).toEqual([])
  writeFileSync(mended, '')
  await dead('replay', uid)
})

const byCause = async (...args: string[]) => JSON.parse((await dead('list', '--json', ...args)).out).items

test('dead list groups dead letters by cause, with their number, trend, last and first time, handler and line', async () => {
  const uid = await giveUp()
  await giveUp()
  const [{ cause, ...rest }] = await eventually(byCause, (items) => items[0]?.count === 2)
  expect(rest).toMatchObject({ handler: 'fragile', source: 'ai', count: 2, error: 'not mended yet red' })
  const { code, out } = await dead('list')
  expect(code).toBe(0)
  const [headings = '', line = '', ...more] = out.trimEnd().split('\n')
  expect(more).toEqual([])
  expect(headings.split(/ {2,}/)).toEqual(
    'DEAD,LAST 24 H,CAUSE,HANDLER,ERROR,AT,LAST,FIRST,SOURCE'.split(',').map((each) => expect.stringContaining(each)),
  )
  expect(line.trim().split(/ {2,}/).slice(0, 5)).toEqual(['2', '·······█', cause, 'fragile', 'not mended yet red'])
  expect(await byCause('--cause', cause, '--since', '1h')).toMatchObject([{ cause }])
  expect(await byCause('--until', '2020-01-01')).toEqual([])
  expect((await listed('--cause', cause)).map((each: { event_uid: string }) => each.event_uid)).toContain(uid)
  expect(await listed('--cause', 'other')).toEqual([])
  expect(await dead('discard', '--all', '--yes')).toMatchObject({ code: 0, out: '2 discarded\n' })
})

test('dead discard takes the dead letters of an event off the list, and they may still be replayed', async () => {
  const uid = await giveUp()
  expect(await dead('discard', uid, '--handler', 'steadyy')).toMatchObject({ code: 4 })
  expect(await dead('discard', uid, '--handler', 'fragile')).toMatchObject({
    code: 0,
    out: `${uid} discarded: fragile\n`,
  })
  expect(await listed()).toEqual([])
  const again = await dead('discard', uid)
  expect(again).toMatchObject({ code: 1, out: '' })
  expect(again.err).toContain(`nothing was discarded: event ${uid} has no dead letter`)
  writeFileSync(mended, '')
  await run(['events', 'replay', uid, '--handler', 'fragile'], service.environment)
  await eventually(statesOf(uid), ({ fragile }) => fragile === 'succeeded')
})

test('dead discard by filter tells how many, asks, and says when there are none', async () => {
  await giveUp()
  const [{ cause }] = await eventually(byCause, (items) => items.length === 1)
  const told = await dead('discard', '--cause', cause, '--dry-run')
  expect(told).toMatchObject({ code: 0, err: '' })
  expect(told.out).toMatch(/^1 dead letter\nDIED/)
  const unasked = await dead('discard', '--cause', cause)
  expect(unasked.code).toBe(2)
  expect(unasked.err).toContain('nothing was discarded: there is no terminal to ask on, so say --yes')
  expect(await dead('discard', '--type', 'other', '--yes')).toMatchObject({ code: 0, out: 'nothing was discarded\n' })
  expect(await dead('discard', '--source', 'other', '--yes')).toMatchObject({
    code: 4,
    out: '',
    err: expect.stringContaining('there is no source other; known are'),
  })
  expect(await dead('discard', '--cause', cause, '--yes', '--json')).toMatchObject({ code: 0, err: '' })
  expect(await listed()).toEqual([])
  expect(await dead('discard')).toMatchObject({ code: 2 })
  expect((await dead('discard', '--all', '--dry-run', '--json')).out).toBe(
    `${JSON.stringify({ matched: 0, sample: [] }, null, 2)}\n`,
  )
})

test('dead replay runs a dead letter again, and none of the other deliveries of its event', async () => {
  const uid = await giveUp()
  writeFileSync(mended, '')
  const { code, out, err } = await dead('replay', uid)
  expect({ code, out, err }).toEqual({ code: 0, out: `${uid} runs again: fragile\n`, err: '1 replayed\n' })
  await eventually(statesOf(uid), ({ fragile }) => fragile === 'succeeded')
  const { deliveries } = await service.api(`/v1/events/${uid}`)
  const steady = deliveries.find((delivery: { handler: string }) => delivery.handler === 'steady')
  expect(steady.history).toHaveLength(1)
})

test('dead replay --all replays every dead letter, however many pages they fill', async () => {
  const oldest = await giveUp()
  await run(
    ['send', 'ai', 'acme.thing', '--count', '205', '--data', '-'],
    service.environment,
    JSON.stringify({ mended }),
  )
  const letters = await eventually(listed, (items) => items.length === 206)
  expect(letters.at(-1).event_uid).toBe(oldest)
  writeFileSync(mended, '')
  const told = await dead('replay', '--all', '--dry-run')
  expect(told.out).toMatch(/^206 events with dead letters\nRECEIVED/)
  expect(told.out).toContain('… and 201 more')
  const replayed = await dead('replay', '--all', '--handler', 'fragile', '--yes', '--json')
  expect(replayed.err).toBe('')
  expect(JSON.parse(replayed.out)).toMatchObject({ state: 'done', matched: 206, replayed: 206, skipped: 0 })
  await eventually(statesOf(oldest), ({ fragile }) => fragile === 'succeeded')
  expect((await dead('list')).out.trimEnd().split('\n')).toHaveLength(1)
})

test('dead replay --all with a filter leaves the other dead letters dead', async () => {
  const uid = await giveUp()
  expect(await dead('replay', '--all', '--yes', '--handler', 'steady')).toMatchObject({
    code: 0,
    err: '0 events with dead letters\n0 replayed\n',
  })
  expect(await listed()).toMatchObject([{ event_uid: uid }])
  writeFileSync(mended, '')
  const { code, err } = await dead('replay', '--all', '--yes', '--source', 'ai')
  expect(code).toBe(0)
  expect(err).toMatch(/^1 event with dead letters\n(?:.*\n)*1 replayed\n$/)
})

describe('a handler or source that does not exist', () => {
  test.each([
    [['--handler', 'nope'], 'there is no handler nope; known are fragile, slow, steady'],
    [['--source', 'nope'], 'there is no source nope; known are ai'],
    [
      ['--source', 'nope', '--handler', 'nope'],
      'there is no source nope; known are ai; there is no handler nope; known are fragile, slow, steady',
    ],
  ])('fails dead replay --all with %j, and the command lists those that exist', async (filter, reason) => {
    expect(await dead('replay', '--all', '--yes', ...filter)).toMatchObject({
      code: 4,
      out: '',
      err: `holdfast dead replay: ${reason}\n`,
    })
  })

  test('gives an empty list of dead letters, and a line on stderr with those that exist', async () => {
    expect(await dead('list', '--handler', 'nope')).toMatchObject({
      code: 0,
      err: 'there is no handler nope; known are fragile, slow, steady\n',
    })
    expect(await dead('list', '--handler', 'steady')).toMatchObject({ code: 0, err: '' })
    for (const group of ['events', 'tasks'])
      expect(await run([group, 'list', '--source', 'nope'], service.environment)).toMatchObject({
        code: 0,
        err: 'there is no source nope; known are ai\n',
      })
  })
})

describe('dead replay --all', () => {
  const ask = (answer: string) => run(['dead', 'replay', '--all'], service.environment, answer, true)

  test.each(['n\n', '\n', 'yesterday\n', ''])(
    'leaves dead letters dead where the operator answers %j',
    async (answer) => {
      const uid = await giveUp()
      const { code, out, err } = await ask(answer)
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toMatch(/^1 event with dead letters\nRECEIVED .*\n.* ai +acme\.thing .*\nReplay 1 event\? \[y\/N\] /)
      expect(err).toMatch(/holdfast dead replay: nothing was replayed\n$/)
      expect(await listed()).toMatchObject([{ event_uid: uid }])
      writeFileSync(mended, '')
      await dead('replay', uid)
      await eventually(statesOf(uid), ({ fragile }) => fragile === 'succeeded')
    },
  )

  test.each(['y\n', ' YES \n', 'y'])('runs dead letters again where the operator answers %j', async (answer) => {
    const uid = await giveUp()
    writeFileSync(mended, '')
    const { code, out, err } = await ask(answer)
    expect({ code, out }).toEqual({ code: 0, out: '' })
    expect(err).toMatch(/1 replayed\n$/)
    await eventually(statesOf(uid), ({ fragile }) => fragile === 'succeeded')
  })

  test('refuses to run where there is no terminal to ask on, and says how to go on', async () => {
    const uid = await giveUp()
    const { code, out, err } = await dead('replay', '--all')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^1 event with dead letters\n/)
    expect(err).toMatch(/nothing was replayed: there is no terminal to ask on, so say --yes to replay them\n$/)
    expect(await listed()).toMatchObject([{ event_uid: uid }])
    const { code: dry, out: told } = await dead('replay', '--all', '--dry-run', '--json')
    expect(dry).toBe(0)
    expect(JSON.parse(told)).toMatchObject({ matched: 1, sample: [{ uid }] })
    expect(await listed()).toMatchObject([{ event_uid: uid }])
    writeFileSync(mended, '')
    await dead('replay', uid)
  })

  test('asks nothing where there are no dead letters', async () => {
    await eventually(listed, (items) => items.length === 0)
    expect(await dead('replay', '--all')).toMatchObject({
      code: 0,
      out: '',
      err: '0 events with dead letters\n0 replayed\n',
    })
  })
})

test('dead list lists dead letters in the order in which they died', async () => {
  const first = await giveUp()
  const second = await giveUp()
  expect((await listed()).map(({ event_uid }: { event_uid: string }) => event_uid)).toEqual([second, first])
  await dead('replay', first)
  await eventually(listed, (items) => items[0]?.event_uid === first)
  const times = (await dead('list')).out
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.slice(0, 19))
  expect(times).toEqual(times.toSorted().toReversed())
  writeFileSync(mended, '')
  await dead('replay', '--all', '--yes')
  await eventually(listed, (items) => items.length === 0)
})

test('events replay of an event whose deliveries run already starts nothing, says so, and exits with 0', async () => {
  const { uid } = await post(service.publicUrl, signedEvent('acme.slow', { mended }))
  expect(await run(['events', 'replay', uid], service.environment)).toMatchObject({
    code: 0,
    out: `${uid} is pending or running already; nothing else runs\n`,
  })
  writeFileSync(mended, '')
  await eventually(statesOf(uid), ({ slow }) => slow === 'succeeded')
})

test('each replay leaves a line in the log of the service: the client, its user, the event and the number of deliveries', async () => {
  const uid = await giveUp()
  writeFileSync(mended, '')
  await dead('replay', uid)
  const lines = service.logs.filter((line) => line.action === 'event.replay' && String(line.target).startsWith(uid))
  expect(lines).toMatchObject([
    {
      level: 30,
      peer: '127.0.0.1',
      agent: expect.stringMatching(/^holdfast\//),
      claimed_name: userInfo().username,
      count: 1,
    },
  ])
})

test('dead replay of an event without a dead letter says so and exits with 1', async () => {
  const { uid } = await post(service.publicUrl, signedEvent('acme.unwanted'))
  expect(await dead('replay', uid)).toMatchObject({
    code: 1,
    err: `holdfast dead replay: event ${uid} has no dead letter\n`,
  })
})

test('dead replay --all says how many events no handler wants any more, and replays the others', async () => {
  await giveUp()
  await service.stop()
  service = await startLocal({}, service.directory)
  const { code, err } = await dead('replay', '--all', '--yes')
  expect(code).toBe(1)
  expect(err).toMatch(/^0 replayed, 1 skipped\n {2}1 no handler wants$/m)
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

let service: LocalService
/** The fragile handler gives up events of this test until this file is there. */
let mended: string

beforeAll(async () => {
  service = await startLocal({ HANDLERS_DIR: join(import.meta.dirname, 'modules') })
})

beforeEach(({ task }) => {
  mended = join(service.directory, task.id)
})

const dead = (...args: string[]) => run(['dead', ...args], service.environment)

const listed = async (...args: string[]) =>
  JSON.parse((await dead('list', '--json', '--limit', '1000', ...args)).out).items

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

test('dead letters are listed with why they died', async () => {
  const uid = await giveUp()
  const { code, out } = await dead('list')
  expect(code).toBe(0)
  const [, line = '', ...more] = out.trimEnd().split('\n')
  expect(more).toEqual([])
  expect(line.split(/ {2,}/).slice(1)).toEqual([uid, 'ai', 'acme.thing', 'fragile', '1', 'not mended yet [31mred'])
  expect(await listed('--handler', 'fragile')).toMatchObject([{ event_uid: uid, state: 'dead' }])
  expect(await listed('--handler', 'steady')).toEqual([])
  writeFileSync(mended, '')
  await dead('replay', uid)
})

test('a replayed dead letter runs again, and its sibling does not', async () => {
  const uid = await giveUp()
  writeFileSync(mended, '')
  const { code, out, err } = await dead('replay', uid)
  expect({ code, out, err }).toEqual({ code: 0, out: `${uid} runs again: fragile\n`, err: '1 replayed\n' })
  await eventually(statesOf(uid), ({ fragile }) => fragile === 'succeeded')
  const { deliveries } = await service.api(`/v1/events/${uid}`)
  const steady = deliveries.find((delivery: { handler: string }) => delivery.handler === 'steady')
  expect(steady.history).toHaveLength(1)
})

test('--all replays every dead letter, however many pages they fill', async () => {
  const oldest = await giveUp()
  await run(
    ['send', 'ai', 'acme.thing', '--count', '205', '--data', '-'],
    service.environment,
    JSON.stringify({ mended }),
  )
  const letters = await eventually(listed, (items) => items.length === 206)
  expect(letters.at(-1).event_uid).toBe(oldest)
  writeFileSync(mended, '')
  const replayed = await dead('replay', '--all', '--handler', 'fragile', '--json')
  expect(JSON.parse(replayed.out)).toEqual({ replayed: 206, failed: [] })
  await eventually(statesOf(oldest), ({ fragile }) => fragile === 'succeeded')
  expect((await dead('list')).out.trimEnd().split('\n')).toHaveLength(1)
})

test('--all with a filter leaves the others dead', async () => {
  const uid = await giveUp()
  expect(await dead('replay', '--all', '--source', 'another')).toMatchObject({ code: 0, err: '0 replayed\n' })
  expect(await listed()).toMatchObject([{ event_uid: uid }])
  writeFileSync(mended, '')
  expect(await dead('replay', '--all', '--source', 'ai')).toMatchObject({ code: 0, err: '1 replayed\n' })
})

test('an event without a dead letter has none to replay', async () => {
  const { uid } = await post(service.publicUrl, signedEvent('acme.unwanted'))
  expect(await dead('replay', uid)).toMatchObject({
    code: 1,
    err: `holdfast dead replay: event ${uid} has no dead letter\n`,
  })
})

test('a dead letter whose handler is gone is told, and does not keep the rest from running', async () => {
  const uid = await giveUp()
  await service.stop()
  service = await startLocal({}, service.directory)
  const { code, out, err } = await dead('replay', '--all')
  expect(code).toBe(1)
  expect(out).toContain(`${uid} fragile: No such handler (404)`)
  expect(err).toBe('0 replayed, 1 could not be\n')
})

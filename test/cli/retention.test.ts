import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { temporaryDirectory } from '../support/service.ts'
import { run } from './run.ts'

const DAY_MS = 86_400_000

/** A service that has one event, and was started anew forty days later, or with its clock ahead by that. */
async function startLater(): Promise<LocalService> {
  const directory = temporaryDirectory()
  const before = await startLocal({}, { directory, onEnd: () => {} })
  await post(before.publicUrl, signedEvent('no.such', {}))
  await before.stop()
  return startLocal({}, { directory, tuning: { clock: () => Date.now() + 40 * DAY_MS } })
}

const eventsOf = async (service: LocalService): Promise<number> => (await service.api('/v1/events')).items.length
const heldBy = async ({ opsUrl }: LocalService): Promise<boolean> =>
  (await (await fetch(`${opsUrl}/metrics`)).text()).includes('\nholdfast_retention_held 1\n')

test('retention show shows that retention is held and what is old, and retention resume lets it go on after the operator confirms', async () => {
  const service = await startLater()
  const retention = (words: string, input = '', interactive = false) =>
    run(['retention', ...words.split(' ')], service.environment, input, interactive)
  await eventually(() => heldBy(service), Boolean)
  const { warnings } = await service.api('/readyz')
  expect(warnings).toEqual([expect.stringContaining('run holdfast retention resume')])

  const today = new Date().toISOString().slice(0, 10)
  const shown = await retention('show')
  expect(shown).toMatchObject({ code: 0, err: '' })
  expect(shown.out).toMatch(/^old events are +held, since the clock seems to have jumped$/m)
  expect(shown.out).toMatch(/^steady for +0 h; trusted after 24$/m)
  expect(shown.out).toMatch(new RegExp(`^${today} +1 +0$`, 'm'))
  expect(JSON.parse((await retention('show --json')).out)).toMatchObject({
    held: true,
    old: { days: [{ day: today, events: 1, dead: 0 }], more: false },
  })

  const unasked = await retention('resume')
  expect(unasked).toMatchObject({ code: 2, err: expect.stringContaining('say --yes if the clock is right') })
  const refused = await retention('resume', 'n\n', true)
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringContaining('Then 1 event and 0 dead letters are deleted'),
  })
  expect(await eventsOf(service)).toBe(1)

  expect(await retention('resume', 'y\n', true)).toMatchObject({ code: 0, out: 'old events are forgotten again\n' })
  await eventually(
    () => eventsOf(service),
    (left) => left === 0,
  )
  await eventually(
    () => heldBy(service),
    (isHeld) => !isHeld,
  )
  expect(service.logs.filter(({ action }) => action === 'retention.resume')).toEqual([
    expect.objectContaining({ peer: '127.0.0.1', agent: expect.stringContaining('holdfast/') }),
  ])
  expect(await service.api('/readyz')).toEqual({ status: 'ready' })

  const again = await retention('resume --yes')
  expect(again).toMatchObject({ code: 1, out: '', err: expect.stringContaining('nothing is held') })
  expect((await retention('show')).out).toMatch(/^old events are +forgotten$/m)
})

test('retention resume --yes --json asks no question and prints the new state', async () => {
  const service = await startLater()
  await eventually(() => heldBy(service), Boolean)
  const { code, out, err } = await run(['retention', 'resume', '--yes', '--json'], service.environment)
  expect([code, err]).toEqual([0, ''])
  expect(JSON.parse(out)).toMatchObject({ held: false, steady_hours: null })
})

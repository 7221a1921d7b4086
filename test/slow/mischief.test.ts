import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Acknowledgement, post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startService, temporaryDirectory } from '../support/service.ts'

const MAX_ATTEMPTS = 2
const MAX_ACK_MS = 250

const slowest = (acks: readonly Acknowledgement[]): number => Math.max(...acks.map(({ ms }) => ms))

/** Each handler does what its event type says; the last one does what it should. */
const handlers = `
  const hoard = []
  export default (router) => {
    router.on('mischief.loop', { name: 'loop' }, () => { const until = Date.now() + 5000; while (Date.now() < until); })
    router.on('mischief.exit', { name: 'exit' }, () => process.exit(1))
    router.on('mischief.memory', { name: 'memory' }, () => { for (;;) hoard.push(new Array(100000).fill({ ...hoard })) })
    router.on('mischief.float', { name: 'float' }, () => { Promise.reject(new Error('floating')) })
    router.on('good.*', { name: 'good' }, async () => { await new Promise((resolve) => setTimeout(resolve, 5)) })
  }`

test('whatever a handler does, acknowledgements go on, its own deliveries end dead and all others succeed', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'handlers'))
  writeFileSync(join(directory, 'handlers', 'mischief.js'), handlers)
  const service = await startService(
    {
      HANDLERS_DIR: join(directory, 'handlers'),
      HANDLER_TIMEOUT_MS: '2000',
      RETRY_MAX_ATTEMPTS: String(MAX_ATTEMPTS),
      RETRY_BASE_MS: '50',
    },
    directory,
  )
  await post(service.publicUrl, signedEvent('good.warm-up'))

  const dead = async () =>
    (await service.api('/v1/deliveries?state=dead')).items as { handler: string; attempts: number }[]

  /** Sends good events for as long as the mischief lasts, and gives how they were acknowledged. */
  async function during(kinds: readonly string[], deadInAll: number): Promise<Acknowledgement[]> {
    for (const kind of kinds) await post(service.publicUrl, signedEvent(`mischief.${kind}`))
    const acks: Acknowledgement[] = []
    let over = false
    const ended = eventually(dead, ({ length }) => length === deadInAll, 60_000).finally(() => {
      over = true
    })
    const sender = async (): Promise<void> => {
      while (!over) {
        acks.push(await post(service.publicUrl, signedEvent('good.event')))
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    await Promise.all([ended, ...Array.from({ length: 4 }, sender)])
    expect(acks.every(({ status }) => status === 200)).toBe(true)
    console.log(
      `${kinds.join(', ')}: ${acks.length} acknowledgements, the slowest after ${slowest(acks).toFixed(1)} ms`,
    )
    return acks
  }

  const loops = ['loop', 'loop']
  const others = ['exit', 'memory', 'float', 'exit', 'memory', 'float']
  const acks = await during(loops, loops.length)
  expect(acks.length).toBeGreaterThan(100)
  expect(slowest(acks)).toBeLessThan(MAX_ACK_MS)
  await during(others, loops.length + others.length)

  const letters = await dead()
  expect(letters.map(({ handler }) => handler).toSorted()).toEqual([...loops, ...others].toSorted())
  expect(letters.every(({ attempts }) => attempts === MAX_ATTEMPTS)).toBe(true)

  await eventually(
    async () => (await service.api('/v1/deliveries?handler=good&limit=200')).items as { state: string }[],
    (items) => items.every(({ state }) => state === 'succeeded'),
    30_000,
  )
  expect((await service.api('/v1/deliveries?handler=good&state=dead')).items).toEqual([])
  expect(await service.stop()).toBe(0)
})

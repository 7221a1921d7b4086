import { describe, expect, test } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { eventually } from '../support/eventually.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { startDispatcher, startPauses } from './start-dispatcher.ts'

async function start(options: Parameters<typeof startDispatcher>[0] = {}) {
  const store = options.store ?? (await openEmptyStore())
  const pauses = startPauses(store)
  const started = await startDispatcher({ store, pauses: pauses.view, ...options })
  pauses.tell(() => started.dispatcher.pausesChanged())
  await pauses.service.start()
  return { ...started, pauses: pauses.service }
}

const statesOf = async (store: OpenStore, uid: string) =>
  (await store.event(uid))?.deliveries.map(({ handler, state, attempts }) => [handler, state, attempts])

const pausing = { by: 'alice' }

describe('a paused handler', () => {
  test('starts no attempt of what comes or was claimed, while others run; all of it runs once after the resume', async () => {
    const { store, append, keep, ended, pauses, starts } = await start()
    await pauses.pause({ kind: 'handler', name: 'ok', ...pausing })
    const uids = [await append(['ok', 'wait']), (await keep(['ok', 'wait'])).uid]
    for (const uid of uids)
      await eventually(
        () => statesOf(store, uid),
        (states) => states?.[1]?.[1] === 'succeeded',
      )
    for (const uid of uids)
      expect(await statesOf(store, uid)).toEqual([
        ['ok', 'pending', 0],
        ['wait', 'succeeded', 1],
      ])
    await pauses.resume('handler', 'ok')
    for (const uid of uids) expect((await ended(uid)).map(({ attempts }) => attempts)).toEqual([1, 1])
    expect(starts.get('ok')).toHaveLength(2)
  })

  test('finishes the attempts that run, and gives back what was leased ahead', async () => {
    const { store, append, ended, pauses } = await start()
    const uids = await Promise.all(Array.from({ length: 60 }, () => append(['wait'], { ms: 5 })))
    await eventually(
      () => statesOf(store, uids[0] ?? ''),
      (states) => states?.[0]?.[1] === 'succeeded',
    )
    await pauses.pause({ kind: 'handler', name: 'wait', ...pausing })
    await eventually(
      () => store.deliveries({ state: 'running' }, { limit: 100 }),
      ({ items }) => items.length === 0,
    )
    const { items } = await store.deliveries({ state: 'pending' }, { limit: 100 })
    expect(items.length).toBeGreaterThan(0)
    expect(items.every(({ attempts }) => attempts === 0)).toBe(true)
    await pauses.resume('handler', 'wait')
    for (const uid of uids) expect(await ended(uid)).toMatchObject([{ state: 'succeeded', attempts: 1 }])
  })
})

describe('a paused source', () => {
  test('has its deliveries held, and those of other sources of the same handler run', async () => {
    const { store, keep, append, ended, pauses, starts } = await start()
    await pauses.pause({ kind: 'source', name: 'acme', ...pausing })
    const held = [await append(['ok']), (await keep(['ok'])).uid]
    const other = await keep(['ok'], {}, undefined, { source: 'other' })
    expect(await ended(other.uid)).toMatchObject([{ state: 'succeeded' }])
    for (const uid of held) {
      await eventually(
        () => store.event(uid),
        (event) => (event?.deliveries[0]?.dueAtMs ?? 0) > Date.now() + 86_400_000,
      )
      expect((await store.event(uid))?.deliveries).toMatchObject([{ state: 'pending', attempts: 0, history: [] }])
    }
    expect(starts.get('ok')).toHaveLength(1)
    await pauses.resume('source', 'acme')
    for (const uid of held) expect(await ended(uid)).toMatchObject([{ state: 'succeeded', attempts: 1 }])
  })

  test('is still paused when the service starts again', async () => {
    const store = await openEmptyStore()
    await store.pauses.pause({ kind: 'source', name: 'acme', by: 'alice' })
    const { append, starts, pauses, ended } = await start({ store })
    const uid = await append(['ok'])
    await eventually(
      () => store.event(uid),
      (event) => (event?.deliveries[0]?.dueAtMs ?? 0) > Date.now() + 86_400_000,
    )
    expect(starts.size).toBe(0)
    await pauses.resume('source', 'acme')
    expect(await ended(uid)).toMatchObject([{ attempts: 1 }])
  })
})

test('a draining process claims nothing and leases nothing, and goes on when that is over', async () => {
  const { store, keep, append, ended, pauses, starts } = await start()
  pauses.drain(true)
  const uids = [await append(['ok']), (await keep(['ok'])).uid]
  expect((await keep(['ok'])).leased).toBeUndefined()
  expect((await store.deliveries({ state: 'pending' }, { limit: 10 })).items).toHaveLength(3)
  expect(starts.size).toBe(0)
  pauses.drain(false)
  for (const uid of uids) expect(await ended(uid)).toMatchObject([{ state: 'succeeded', attempts: 1 }])
})

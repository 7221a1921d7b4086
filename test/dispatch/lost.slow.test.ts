import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/service.ts'
import { startPool, work } from './start-pool.ts'

describe('an attempt that shares a process', () => {
  test('with a handler that blocks it runs in another process long before the deadline, if it had not started', async () => {
    const pool = await startPool({ timeoutMs: 5_000 })
    const order: string[] = []
    const tell = async (name: string): Promise<void> => {
      await pool.run(work(name))
      order.push(name)
    }
    await Promise.all([tell('loop'), tell('ok'), tell('ok')])
    expect(order).toEqual(['ok', 'ok', 'loop'])
  })

  test('with a handler that blocks it for a while runs once, in this process or in another', async () => {
    const pool = await startPool()
    const file = join(temporaryDirectory(), 'marks')
    const mark = () => pool.run(work('mark', JSON.stringify({ type: 'mark', file })))
    await Promise.all([pool.run(work('block', '{"type":"block","ms":1000}')), mark(), mark(), mark()])
    // What it was sent before it was blocked, and was taken back, would begin now.
    await Promise.all(Array.from({ length: 8 }, () => pool.run(work('wait', '{"type":"wait","ms":200}'))))
    expect(readFileSync(file, 'utf8')).toBe('mark\n'.repeat(3))
  })

  test('with a handler that blocks it until after their deadlines has succeeded, if it was done in time', async () => {
    const pool = await startPool({ timeoutMs: 1_000 })
    const innocent = pool.run(work('wait', '{"type":"wait","ms":50}'))
    await pool.run(work('block', '{"type":"block","ms":1050}'))
    expect(await innocent).toMatchObject({ outcome: 'succeeded' })
  })

  test('with a handler that ends it runs again, and only the attempt of that handler is lost', async () => {
    const pool = await startPool()
    const innocent = Array.from({ length: 5 }, () => pool.run(work('wait', '{"type":"wait","ms":300}')))
    await pool.run(work('ok'))
    expect(await pool.run(work('exit'))).toMatchObject({
      outcome: 'process_lost',
      error: 'the handler process exited with code 3',
    })
    expect((await Promise.all(innocent)).map(({ outcome }) => outcome)).toEqual(Array(5).fill('succeeded'))
  })

  test('with several handlers that block it succeeds, and each of their attempts is lost', async () => {
    const pool = await startPool({ timeoutMs: 1_000, processes: 2 })
    const attempts = Array.from({ length: 24 }, (_, at) =>
      pool.run(at % 8 === 0 ? work('loop') : work('wait', '{"type":"wait","ms":20}')),
    )
    const outcomes = (await Promise.all(attempts)).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(outcomes.map((_, at) => (at % 8 === 0 ? 'process_lost' : 'succeeded')))
  })
})

describe('attempts that were lost with their processes', () => {
  test('all get a result, though nothing else happens meanwhile', async () => {
    const pool = await startPool()
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => pool.run(work('exit'))))
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(8).fill('process_lost'))
  })
})

test('an unstable handler runs again after a minute without an incident, however often it had ended its process', async () => {
  const pool = await startPool()
  const hasCapacity = () =>
    eventually(
      async () => pool.free(),
      ({ unstable }) => unstable > 0,
    )
  for (let times = 0; times < 7; times++) await pool.run(work('exit'))
  await hasCapacity()
  const realNow = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => realNow() + 61_000)
  onTestFinished(() => void vi.restoreAllMocks())
  await eventually(
    async () => pool.isUnstable('exit'),
    (isUnstable) => !isUnstable,
  )
  await hasCapacity()
  for (let times = 0; times < 4; times++)
    expect(await pool.run(work('exit'))).toMatchObject({ outcome: 'process_lost' })
})

test('isolated attempts that outlive their deadlines take no capacity from later ones', {
  timeout: 30_000,
}, async () => {
  const pool = await startPool({ concurrency: 64, timeoutMs: 500 })
  const hanging = Array.from({ length: 60 }, () => pool.run(work('hang')))
  await pool.run(work('exit'))
  await Promise.all(hanging)
  const innocent = pool.run(work('wait', '{"type":"wait","ms":100}'))
  await pool.run(work('exit'))
  expect(await innocent).toMatchObject({ outcome: 'succeeded' })
})

test('a blocked isolated process is sent no attempts, and attempts that are lost meanwhile run in another process', async () => {
  const pool = await startPool({ timeoutMs: 3_000 })
  const file = join(temporaryDirectory(), 'told')
  writeFileSync(file, '')
  const told = (words: RegExp) =>
    eventually(
      async () => readFileSync(file, 'utf8'),
      (text) => words.test(text),
    )
  const order: string[] = []
  const wait = async (as: string, ms: number, thenLoops = false): Promise<void> => {
    await pool.run(work('wait', JSON.stringify({ type: 'wait', ms, thenLoops, file })))
    order.push(as)
  }
  // Both are lost with a third, and share a process from then on, which one of them blocks.
  const lost = [wait('guilty', 200, true), wait('shares its process', 250)]
  await told(/begins\nbegins/)
  await pool.run(work('exit'))
  await told(/loops/)
  const innocent = wait('is lost later', 600)
  await pool.run(work('exit'))
  await Promise.all([...lost, innocent])
  expect(order).toEqual(['is lost later', 'shares its process', 'guilty'])
})

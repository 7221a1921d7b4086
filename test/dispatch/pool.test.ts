import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/service.ts'
import { acme, sharePool, startPool, work } from './start-pool.ts'

describe('an attempt with a deadline of its own', () => {
  test('has until then, however short the deadline of the pool is', async () => {
    const pool = await startPool({ timeoutMs: 700 })
    const [short, long] = await Promise.all([
      pool.run(work('hang'), 50),
      pool.run(work('wait', '{"type":"wait","ms":1100}'), 20_000),
    ])
    expect([short.outcome, long.outcome]).toEqual(['timeout', 'succeeded'])
  })

  test('ends then, however long the deadline of the pool is', async () => {
    const pool = await startPool({ timeoutMs: 600_000 })
    expect(await pool.run(work('hang'), 50)).toMatchObject({ outcome: 'timeout' })
  })

  test('that blocks its process costs it the process at that deadline, though an older attempt in it has more time', async () => {
    const pool = await startPool({ timeoutMs: 600_000 })
    const older = pool.run(work('wait', '{"type":"wait","ms":1000}'))
    expect(await pool.run(work('sleep'), 200)).toMatchObject({
      outcome: 'process_lost',
      error: 'a handler held its process past the deadline',
    })
    expect(await older).toMatchObject({ outcome: 'succeeded' })
  })
})

describe('a handler process', () => {
  const pool = sharePool()

  test('reports success, or the error that the handler threw', async () => {
    expect(await pool().run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
    expect(await pool().run(work('throw'))).toMatchObject({ outcome: 'failed', error: 'RangeError: too far' })
  })

  test('gives the handler the exact bytes of the body', async () => {
    expect(await pool().run(work('raw', '{"type":"raw", "n":1.0}'))).toMatchObject({ outcome: 'succeeded' })
  })

  test('keeps the decision of fail and retryAfter, even if the handler catches what they throw', async () => {
    expect(await pool().run(work('fail'))).toMatchObject({
      outcome: 'rejected',
      error: 'no such customer',
      detail: { stack: [expect.stringMatching(/dispatch\/modules\/.*:\d+:\d+\)?$/)] },
    })
    expect(await pool().run(work('later'))).toMatchObject({ outcome: 'retry_after', afterMs: 1234 })
  })

  test.each([
    ['later', 1234, 1234],
    ['a part of a millisecond', 0.2, 1],
    ['a text', '5', undefined],
    ['zero', 0, undefined],
    ['less', -1, undefined],
    ['nothing', undefined, undefined],
    ['a moment in place of a wait', 1_795_000_000_000, undefined],
  ])('takes the wait from retryAfter if it is valid: %s', async (_, ms, afterMs) => {
    const ran = await pool().run(work('after', JSON.stringify({ type: 'after', ms })))
    expect(ran).toMatchObject({
      outcome: 'retry_after',
      error: expect.stringContaining('asked to be run again after'),
    })
    expect('afterMs' in ran ? ran.afterMs : undefined).toBe(afterMs)
  })

  test('names the invalid time that the handler asked for', async () => {
    const error = (what: string) => ({
      outcome: 'retry_after',
      error: `the handler asked to be run again after ${what}, which is not a time in milliseconds: the delivery waits as after any failure`,
    })
    expect(await pool().run(work('no-number'))).toMatchObject(error('NaN'))
    expect(await pool().run(work('endless'))).toMatchObject(error('Infinity'))
    expect(await pool().run(work('after', '{"type":"after","ms":"soon"}'))).toMatchObject(error('"soon"'))
  })

  test('reports a failure whose error cannot be converted to text', async () => {
    expect(await pool().run(work('unshowable'))).toMatchObject({
      outcome: 'failed',
      error: 'the handler threw a value that cannot be shown',
    })
  })

  test('ignores messages that user code sends to its parent process', async () => {
    expect(await pool().run(work('chatter'))).toMatchObject({ outcome: 'failed', error: 'as it really ended' })
    expect(await pool().run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
  })

  test.each(['float', 'float-late'])(
    'charges an uncaught error to the attempt that it came from (%s)',
    async (name) => {
      const [guilty, innocent] = await Promise.all([
        pool().run(work(name)),
        pool().run(work('wait', '{"type":"wait","ms":100}')),
      ])
      expect(guilty.outcome).toBe('failed')
      expect(innocent.outcome).toBe('succeeded')
    },
  )

  test('exits at once after its last answer, and the answer is read all the same', async () => {
    const own = await startPool()
    const ran = own.run(work('last-word'))
    await new Promise(setImmediate)
    // Until it is gone: its answer and its end are then heard of in the same turn.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    expect(await ran).toMatchObject({ outcome: 'succeeded' })
  })

  test('runs as many attempts at once as its concurrency allows', async () => {
    const own = await startPool({ processes: 2, concurrency: 3 })
    expect(own.free().stable).toBe(6 + own.extra)
    const running = Array.from({ length: 4 }, () => own.run(work('wait', '{"type":"wait","ms":50}')))
    expect(own.free().stable).toBe(2 + own.extra)
    await Promise.all(running)
    expect(own.free().stable).toBe(6 + own.extra)
  })
})

describe('the deadline of an attempt', () => {
  test('aborts the signal of its attempt and ends the attempt, and no other', async () => {
    const pool = await startPool()
    expect(await pool.run(work('heed'), 100)).toMatchObject({
      outcome: 'timeout',
      error: 'the handler passed its deadline',
    })
    expect(await pool.run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
  })

  test('ends an attempt whose handler never returns, whose capacity stays used', async () => {
    const pool = await startPool({ concurrency: 8 })
    expect(await pool.run(work('hang'), 50)).toMatchObject({ outcome: 'timeout' })
    expect(pool.free().stable).toBe(7 + pool.extra)
  })

  test('replaces a process when too many of its handlers have not returned', async () => {
    const pool = await startPool({ concurrency: 2 })
    const renewed = Promise.withResolvers<void>()
    await pool.run(work('hang'), 50)
    pool.onCapacity = () => pool.free().stable === 2 + pool.extra && renewed.resolve()
    await renewed.promise
    expect(await pool.run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
  })
})

test('the pool logs that it replaced a process, with the reason', async () => {
  const logged = Promise.withResolvers<string>()
  const pool = await startPool({ log: pino({ level: 'warn' }, { write: logged.resolve }) })
  await pool.run(work('exit'))
  expect(await logged.promise).toMatch(/exited with code 3.*a handler process is replaced/)
})

describe.each(['loop', 'exit', 'hoard'])('a handler that ends its process (%s)', (name) => {
  // The less memory a process may have, the sooner it is full.
  const pool = sharePool({ timeoutMs: 200, memoryMb: name === 'hoard' ? 128 : 256 })

  test('loses its own attempt, and a new process takes over', async () => {
    const neighbour = pool().run(work('hang'))
    expect(await pool().run(work(name))).toMatchObject({ outcome: expect.stringMatching('process_lost') })
    await neighbour
    expect(await pool().run(work('ok'), 10_000)).toMatchObject({ outcome: 'succeeded' })
  })

  test('is charged at once if it ran alone', async () => {
    expect(await pool().run(work(name, undefined, true))).toMatchObject({ outcome: 'process_lost' })
    expect(await pool().run(work('ok', undefined, true), 10_000)).toMatchObject({ outcome: 'succeeded' })
  })
})

describe('the end of a process', () => {
  // The less memory it may have, the sooner it is full.
  const pool = sharePool({ memoryMb: 128 })

  test.each([
    ['loop', 'a handler held its process past the deadline'],
    ['sleep', 'a handler held its process past the deadline'],
    ['exit', 'the handler process exited with code 3'],
    ['abort', 'the handler process was killed by SIGABRT'],
    ['buffers', 'the handler process grew past 128 MiB'],
    ['hoard', expect.stringMatching(/ran out of memory: .*heap|grew past 128 MiB/)],
    ['garbage', expect.stringMatching(/sent an invalid message|exited with code/)],
  ])('by the handler %s is reported with its reason', async (name, error) => {
    const deadlineMs = name === 'loop' || name === 'sleep' ? 200 : undefined
    expect(await pool().run(work(name), deadlineMs)).toMatchObject({ outcome: 'process_lost', error })
    expect(await pool().run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
  })
})

test('the attempt of a process that aborts has the stack of the handler, and the log has no line of the dump', async () => {
  const logged: string[] = []
  const pool = await startPool({ log: pino({ level: 'info' }, { write: (line) => void logged.push(line) }) })
  expect(await pool.run(work('abort'))).toMatchObject({
    detail: { name: 'ProcessLost', stack: [expect.stringMatching(/^at .*mischief\.ts:\d+:\d+\)?$/)] },
  })
  expect(logged.filter((line) => line.includes('handler_process'))).toEqual([])
})

test('the pool refuses a process whose modules have changed since the start, and running attempts go on', async () => {
  const handlersDir = temporaryDirectory()
  const write = (name: string): void =>
    writeFileSync(
      join(handlersDir, 'a.js'),
      `export default (router) => {
        router.on('exit', { name: 'exit' }, () => process.exit(3))
        router.on('x', { name: '${name}' }, () => {})
      }`,
    )
  write('kept')
  const refused = Promise.withResolvers<string>()
  const log = pino({ level: 'error' }, { write: refused.resolve })
  const data = { handlersDir, providerModules: { acme }, logLevel: 'silent', logStyle: 'json' as const, secrets: [] }
  const pool = await startPool({ processes: 2, data, log })
  write('renamed')
  void pool.run(work('exit'))
  expect(await refused.promise).toMatch(/register other handlers than when the service started/)
  expect(await pool.run(work('kept'))).toMatchObject({ outcome: 'succeeded' })
})

test('the pool does not start if the handler modules alone take more memory than a process may have', async () => {
  await expect(startPool({ memoryMb: 40 })).rejects.toThrow(/HANDLER_MEMORY_MB is 40, .* take \d+ MiB/)
})

test('the pool kills the programs that a handler has started with its process, in whatever session they are', async () => {
  const pool = await startPool()
  const file = join(temporaryDirectory(), 'pid')
  await pool.run(work('offspring', JSON.stringify({ type: 'offspring', file })))
  const pid = Number(readFileSync(file, 'utf8'))
  expect(isAlive(pid)).toBe(true)
  await pool.run(work('exit'))
  await eventually(
    async () => isAlive(pid),
    (alive) => !alive,
  )
})

/** A process that has ended and that no parent waits for does not count. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('the pool kills a process that grows past its memory limit after its attempts have ended, and logs that', async () => {
  const logged = Promise.withResolvers<string>()
  const pool = await startPool({ memoryMb: 128, log: pino({ level: 'warn' }, { write: logged.resolve }) })
  expect(await pool.run(work('grow-later'))).toMatchObject({ outcome: 'succeeded' })
  expect(await logged.promise).toMatch(/grew past 128 MiB.*ended though nothing ran in it/)
  expect(await pool.run(work('ok'))).toMatchObject({ outcome: 'succeeded' })
})

test('a pool that closes kills its processes and reports their attempts as lost', async () => {
  const pool = await startPool()
  const running = pool.run(work('loop'))
  await pool.close()
  expect(await running).toMatchObject({ outcome: 'process_lost', error: 'the service stopped' })
})

import { defineProvider, type Handler, type Router, Type } from 'holdfast'
import { runHandler, sample } from 'holdfast/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'
import completions from '../support/handlers/catalogue.ts'
import acmeProvider from './acme-provider.ts'

afterEach(() => void vi.useRealTimers())

const Thing = Type.Object({ size: Type.Number() })
const thing = (data: Record<string, unknown> = { size: 3 }) => sample('standard', 'acme.thing', data)

describe('the outcome of an attempt', () => {
  test('is succeeded when the handler returns', async () => {
    expect(await runHandler(async () => 'anything', thing())).toEqual({ outcome: 'succeeded', logs: [] })
  })

  test('is failed with the error, its causes and its frames when the handler throws', async () => {
    const run = await runHandler(async () => {
      throw new Error('no stock', { cause: Object.assign(new Error('closed'), { code: 'ECONNREFUSED' }) })
    }, thing())
    expect(run).toMatchObject({ outcome: 'failed', error: 'no stock, caused by closed (ECONNREFUSED)', logs: [] })
    expect(run.errorDetail?.stack?.[0]).toContain('run-handler.unit.test.ts')
  })

  test('is dead when the handler throws in the last attempt, by the option or by its own retry policy', async () => {
    const module = (router: Router) =>
      router.on('acme.thing', { retry: { maxAttempts: 2 } }, async () => {
        throw new Error('no stock')
      })
    const outcome = async (options: object) => (await runHandler(module, thing(), options)).outcome
    expect(await outcome({ attempt: 1 })).toBe('failed')
    expect(await outcome({ attempt: 2 })).toBe('dead')
    expect(await outcome({ attempt: 2, maxAttempts: 3 })).toBe('failed')
    expect(await outcome({ attempt: 3, maxAttempts: 3 })).toBe('dead')
  })

  test('is dead with the reason after fail, even if the handler catches what fail throws', async () => {
    const handler: Handler = async (_event, { fail }) => {
      try {
        fail('unknown customer')
      } catch {
        // As a handler might.
      }
    }
    const { errorDetail, ...result } = await runHandler(handler, thing())
    expect(result).toEqual({ outcome: 'dead', error: 'unknown customer', logs: [] })
    expect(errorDetail?.stack?.[0]).toContain('run-handler.unit.test.ts')
  })

  test('is retry with the wait after retryAfter, a week at most, and failed if the wait is no time', async () => {
    const after = (ms: number) => runHandler(async (_event, { retryAfter }) => retryAfter(ms), thing())
    expect(await after(1_500)).toMatchObject({ outcome: 'retry', retryAfterMs: 1_500 })
    expect(await after(30 * 86_400_000)).toMatchObject({ outcome: 'retry', retryAfterMs: 7 * 86_400_000 })
    const wrong = await after(Number.NaN)
    expect(wrong).toMatchObject({ outcome: 'failed', error: expect.stringContaining('NaN') })
    expect(wrong.logs).toMatchObject([{ level: 'warn' }])
  })

  test('is failed at the deadline, when the signal has aborted', async () => {
    let aborted: unknown
    const handler: Handler = (_event, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve((aborted = signal.reason)))
      })
    const run = await runHandler(handler, thing(), { timeoutMs: 5 })
    expect(run).toMatchObject({ outcome: 'failed', error: 'the handler passed its deadline' })
    expect(aborted).toMatchObject({ name: 'TimeoutError' })
  })

  test("is decided by fake timers if a test uses them, also by the handler's own timeoutMs", async () => {
    vi.useFakeTimers()
    expect(await runHandler(async () => {}, thing())).toMatchObject({ outcome: 'succeeded' })
    const module = (router: Router) =>
      router.on('acme.thing', { timeoutMs: 60_000 }, () => {
        vi.advanceTimersByTime(60_000)
        return new Promise(() => {})
      })
    expect(await runHandler(module, thing())).toMatchObject({ outcome: 'failed' })
  })
})

describe('the schema of an event', () => {
  const run = vi.fn<Handler>()
  afterEach(() => run.mockClear())

  test("is the handler's own, and a handler never gets an event that does not match it", async () => {
    const module = (router: Router) => router.on('acme.thing', Thing, run as never)
    expect(await runHandler(module, thing({ size: 'big' }))).toEqual({
      outcome: 'dead',
      error: 'the event does not match its schema: module:acme.thing: /size must be number',
      logs: [],
    })
    expect(run).not.toHaveBeenCalled()
    expect(await runHandler(module, thing())).toMatchObject({ outcome: 'succeeded' })
    expect(await runHandler(run, thing({ size: 'big' }), { schema: Thing })).toMatchObject({ outcome: 'dead' })
    expect(run).toHaveBeenCalledTimes(1)
  })

  test("is the catalogue's for a handler alone, and only for a type that a module names in full", async () => {
    const strange = sample('standard', 'completion.finished', { strange: true })
    expect(await runHandler(run, strange)).toMatchObject({ outcome: 'dead' })
    expect(run).not.toHaveBeenCalled()
    expect(await runHandler((router: Router) => router.on('completion.*', run), strange)).toMatchObject({
      outcome: 'succeeded',
    })
  })

  test("is the provider's if the provider has one for the type", async () => {
    const acme = defineProvider({ ...acmeProvider, schemas: { 'acme.thing': Thing } })
    const run1 = await runHandler(run, sample(acme, 'acme.thing', { size: 'big' }))
    expect(run1).toMatchObject({ outcome: 'dead', error: expect.stringContaining('data: /size must be number') })
  })

  test('is checked in the end also if it is too slow for the service to check before it answers', async () => {
    const Slow = Type.Object({ name: Type.String({ pattern: '^(?=a)a+$' }) })
    const named = (name: string) => runHandler(run, thing({ name }), { schema: Slow })
    expect(await named('aaa')).toMatchObject({ outcome: 'succeeded' })
    expect(await named('baa')).toMatchObject({ outcome: 'dead', error: expect.stringContaining('must match pattern') })
    expect(run).toHaveBeenCalledTimes(1)
  })

  test('decides about a body that is no event as well', async () => {
    const broken = { ...thing(), body: Buffer.from('{') }
    const run1 = await runHandler(run, broken)
    expect(run1).toMatchObject({ outcome: 'dead', error: 'the event is not readable: the body is not valid JSON' })
    expect(run).not.toHaveBeenCalled()
  })
})

describe('what runs', () => {
  const two = (router: Router) => {
    router.on('acme.*', async (_event, { log }) => log.info('one'))
    router.on({ source: 'shop', type: 'acme.thing' }, { name: 'two' }, async (_event, { log }) => log.info('two'))
  }
  const said = async (...args: Parameters<typeof runHandler>) => (await runHandler(...args)).logs.map(({ msg }) => msg)

  test('is the handler of the module that wants the event, or the one that the test names', async () => {
    expect(await said(two, thing())).toEqual(['one'])
    expect(await said(two, thing(), { source: 'shop', handler: 'two' })).toEqual(['two'])
    expect(await said(two, thing(), { source: 'shop', handler: 'acme.*' })).toEqual(['one'])
    expect(await said(two, thing(), { source: 'shop', handler: 'orders:acme.*' })).toEqual(['one'])
    expect(await said({ default: two }, thing())).toEqual(['one'])
    const later = async (router: Router) => {
      await Promise.resolve()
      router.on('*', (_event, { log }) => log.info('later'))
    }
    expect(await said(later, thing())).toEqual(['later'])
    expect(await runHandler(completions, sample('ai', 'batch.completed'))).toMatchObject({ outcome: 'succeeded' })
  })

  test('is the handler also if it is a mock, has one parameter, or calls on() of something else', async () => {
    const mock = vi.fn()
    await runHandler(mock, thing())
    expect(mock).toHaveBeenCalledOnce()
    const listening = async ({ type }: { type: string }) => process.on('holdfast-test', () => type)
    expect(await runHandler(listening, thing())).toMatchObject({ outcome: 'succeeded' })
    const withoutParameters = () => [process].at(0)?.on('holdfast-test', () => {})
    const ofResult = () => Object(process).on('holdfast-test', () => {})
    for (const handler of [withoutParameters, ofResult])
      expect(await runHandler(handler, thing())).toMatchObject({ outcome: 'succeeded' })
    process.removeAllListeners('holdfast-test')
  })

  test.each([
    [
      'no handler wants the event',
      () => runHandler(two, sample('stripe', 'invoice.paid')),
      /no handler wants an event invoice.paid of source stripe: module:acme.\*, two/,
    ],
    [
      'several want it',
      () => runHandler(two, thing(), { source: 'shop' }),
      /several handlers want .*: say which one runs.* module:acme.\*, two/,
    ],
    [
      'there is no handler of the name',
      () => runHandler(two, thing(), { handler: 'three' }),
      /no handler three, only module:acme.\*, two/,
    ],
    ['the module registers nothing', () => runHandler((_router: Router) => {}, thing()), /registers no handler/],
    [
      'a module is taken for a handler',
      () => runHandler((r: Router) => two(r), thing()),
      /took this function for a handler/,
    ],
    ['it gets no function', () => runHandler(3 as never, thing()), /takes a handler/],
    [
      'an option is misspelt',
      () => runHandler(two, thing(), { atempt: 1, event: { uids: '' } } as never),
      /unknown option atempt \(is attempt meant\?\); unknown option event.uids/,
    ],
    [
      'an option is no number',
      () => runHandler(two, thing(), { attempt: 0, timeoutMs: -1 }),
      /attempt is not a whole number.*; timeoutMs is not/,
    ],
    [
      'the module is not sound',
      () => runHandler((router: Router) => router.on('', () => {}), thing()),
      /needs an event type/,
    ],
  ])('is refused if %s', async (_when, run, message) => {
    await expect(run()).rejects.toThrow(message)
    await expect(run()).rejects.toBeInstanceOf(TypeError)
  })

  test('gets a context with the attempt and a log, whose lines have level, message and fields', async () => {
    const run = await runHandler(
      async ({ type }, { attempt, log }) => {
        log.info({ type, attempt }, 'begins')
        log.child({ step: 2 }).error(new Error('no stock'))
      },
      thing(),
      { attempt: 4 },
    )
    expect(run.logs).toEqual([
      { level: 'info', msg: 'begins', type: 'acme.thing', attempt: 4 },
      { level: 'error', msg: 'no stock', step: 2, err: expect.objectContaining({ message: 'no stock' }) },
    ])
  })
})

test('the headers are an object like any other, as in a handler process', async () => {
  const prototypes: unknown[] = []
  const handler = async (event: { headers: object }) => void prototypes.push(Object.getPrototypeOf(event.headers))
  expect(await runHandler(handler, sample('stripe', 'invoice.paid'))).toMatchObject({ outcome: 'succeeded' })
  expect(prototypes).toEqual([Object.prototype])
})

test('the type of the event may be as long as a sender may make it', async () => {
  const event = sample('standard', 'x'.repeat(256))
  expect(await runHandler(async () => {}, event)).toEqual({ outcome: 'succeeded', logs: [] })
})

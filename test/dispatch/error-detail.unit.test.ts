import { describe, expect, test } from 'vitest'
import { detailOf, lineOf } from '../../src/dispatch/process/error-detail.ts'
import { redactResult } from '../../src/dispatch/settlement-queue.ts'

const lineOfThrown = (thrown: unknown): string => lineOf(detailOf(thrown))

describe('the detail of what a handler threw', () => {
  test('has name, message, code and the frames of the handler, without those of Node', () => {
    const detail = detailOf(Object.assign(new RangeError('too far'), { code: 'E_FAR' }))
    expect(detail).toMatchObject({ name: 'RangeError', message: 'too far', code: 'E_FAR' })
    expect(detail.stack?.[0]).toMatch(/^at .*error-detail\.unit\.test\.ts:\d+:\d+\)?$/)
    expect(detail.stack?.join()).not.toContain('node:')
  })

  test('has the chain of causes, up to a limit', () => {
    const endless: { cause?: unknown } & Error = new Error('itself')
    endless.cause = endless
    const depth = (detail: ReturnType<typeof detailOf>): number =>
      detail.cause === undefined ? 0 : 1 + depth(detail.cause)
    expect(depth(detailOf(endless))).toBe(4)
    expect(detailOf(new Error('a', { cause: new TypeError('b') })).cause).toMatchObject({
      name: 'TypeError',
      message: 'b',
    })
  })

  test('has some of the errors of an AggregateError', () => {
    const parts = Array.from({ length: 100 }, (_, at) => new Error(`part ${at}`))
    expect(detailOf(new AggregateError(parts, 'all failed')).errors?.map(({ message }) => message)).toEqual(
      [0, 1, 2, 3, 4].map((at) => `part ${at}`),
    )
  })

  test.each([
    ['a text', 'a text', { name: 'string', message: 'a text' }],
    ['undefined', undefined, { name: 'undefined', message: 'undefined' }],
    ['null', null, { name: 'null', message: 'null' }],
    ['an object', { status: 502, body: ['a'] }, { name: 'object', message: "{ status: 502, body: [ 'a' ] }" }],
  ])('shows %s as Node prints it', (_, thrown, expected) => {
    expect(detailOf(thrown)).toEqual(expected)
    expect(lineOfThrown(thrown)).toBe(expected.message)
  })

  test('has what can be read of an error with a getter that throws', () => {
    const odd = Object.defineProperty(new Error('still told'), 'code', {
      get() {
        throw new Error('not this')
      },
    })
    expect(detailOf(odd)).toMatchObject({ name: 'Error', message: 'still told' })
  })

  test('shows a part of a large object', () => {
    const huge = Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`key${at}`, { at }]))
    const { message } = detailOf(huge)
    expect(message).toContain('key0')
    expect(message).not.toContain('key999')
  })

  test('is bounded, whatever is thrown', () => {
    const huge = new Error('x'.repeat(1_000_000), { cause: { text: 'y'.repeat(1_000_000) } })
    expect(JSON.stringify(detailOf(huge)).length).toBeLessThan(20_000)
  })
})

describe('the line of what a handler threw', () => {
  test('has the innermost cause, which is what an operator acts on', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' })
    expect(lineOfThrown(new TypeError('fetch failed', { cause: refused }))).toBe(
      'TypeError: fetch failed, caused by connect ECONNREFUSED 127.0.0.1:9',
    )
  })

  test('has the code if the message does not have it', () => {
    expect(lineOfThrown(Object.assign(new Error('no such file'), { code: 'ENOENT' }))).toBe('no such file (ENOENT)')
  })

  test('is the message alone for a plain error', () => {
    expect(lineOfThrown(new Error('too far'))).toBe('too far')
  })
})

test('`redactResult` takes secrets out of an answer before it cuts it, and keeps nothing else that the answer has', () => {
  const answer = {
    from: 'http://sk_live_1.example',
    status: 200,
    durationMs: 1.6,
    text: `${'x'.repeat(495)}sk_live_1`,
    more: 'x',
  }
  const ran = { outcome: 'succeeded', answer, startedAtMs: 0, durationMs: 0 } as const
  expect(redactResult(ran, (text) => text.replaceAll('sk_live_1', '[redacted]'))).toEqual({
    ...ran,
    answer: { from: 'http://[redacted].example', status: 200, durationMs: 2, text: `${'x'.repeat(495)}[reda…` },
  })
})

test('`redactResult` takes secrets out of every part of the detail of an error', () => {
  const error = Object.assign(
    new Error('key sk_live_1 refused', { cause: new AggregateError([new Error('sk_live_1')], 'sk_live_1') }),
    {
      code: 'sk_live_1',
    },
  )
  const detail = detailOf(error)
  const ran = { outcome: 'failed', error: lineOf(detail), detail, startedAtMs: 0, durationMs: 0 } as const
  const shown = JSON.stringify(redactResult(ran, (text) => text.replaceAll('sk_live_1', '[redacted]')))
  expect(shown).toContain('[redacted]')
  expect(shown).not.toContain('sk_live_1')
})

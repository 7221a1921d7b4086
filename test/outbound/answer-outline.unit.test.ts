import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Outline } from '../../src/outbound/answer-outline.ts'
import { propertyParameters } from '../support/property.ts'

/** What is kept of a text that comes in pieces of so many bytes. */
function outlineOf(text: string, pieceBytes = 1_000) {
  const outline = new Outline()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) if (!outline.push(bytes.subarray(at, at + pieceBytes))) break
  return outline.kept()
}

describe('the outline of a long JSON text', () => {
  test('keeps short values of the first levels, and says what it left out', () => {
    const text = JSON.stringify({
      id: 'task_1',
      result: 'x'.repeat(5_000),
      usage: { tokens: 3, cost: 0.25, by: { model: 'a', deep: { deeper: { deepest: 1 } } } },
      items: [{ status: 'failed' }],
      none: null,
      ok: true,
      status: 'completed',
    })
    expect(outlineOf(text)).toEqual({
      value: {
        id: 'task_1',
        usage: { tokens: 3, cost: 0.25, by: { model: 'a', deep: {} } },
        none: null,
        ok: true,
        status: 'completed',
      },
      omitted: ['result', 'usage.by.deep.deeper', 'items'],
    })
  })

  test('has the values that stand last, behind a megabyte of small values', () => {
    const usage = Object.fromEntries(Array.from({ length: 50_000 }, (_, n) => [`name_${n}`, n]))
    const kept = outlineOf(
      JSON.stringify({ usage, rows: Array(50_000).fill({ status: 'failed' }), status: 'completed' }),
    )
    expect(kept?.value).toMatchObject({ status: 'completed' })
    expect(JSON.stringify(kept).length).toBeLessThan(65_536)
  })

  test.each([
    ['is cut off', '{"status":"completed","result":"xxxx', { status: 'completed' }],
    ['is cut off in a value', '{"status":"completed","id":"tas', { status: 'completed' }],
    ['is followed by something else', '{"status":"completed"} and more', { status: 'completed' }],
    ['names __proto__', '{"__proto__":{"status":"failed"},"status":"completed"}', undefined],
  ])('that %s has the values that were complete in it', (_, text, expected) => {
    const kept = outlineOf(text)
    if (expected === undefined) expect(JSON.stringify(kept?.value)).toBe(text)
    else expect(kept?.value).toEqual(expected)
  })

  test.each([
    'no JSON at all',
    '[{"status":"completed"}]',
    '"completed"',
    '<html>',
    '{"a":1,}x',
    '{"a" "b"}',
    '{"a":,"b":1}',
    '{"status":"completed"',
    '{"a":tru,"status":"completed"}',
    '{"a":1 "status":"completed"}',
    '{"a":[1],[2]:3}',
    '{]',
    '}',
    ' ',
  ])('adds nothing to %j, which is not JSON or not an object', (text) => {
    const kept = outlineOf(text)
    expect([undefined, text === '{"status":"completed"' ? '{"status":"completed"}' : undefined]).toContain(
      kept && JSON.stringify(kept.value),
    )
  })

  test('is the text itself where nothing in it is long, wherever it is cut in pieces', () => {
    const name = fc.string({ maxLength: 6, unit: 'grapheme' })
    const leaf = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.double({ noNaN: true }),
      fc.boolean(),
      fc.constant(null),
    )
    const level = (inner: fc.Arbitrary<unknown>) => fc.dictionary(name, fc.oneof(leaf, inner), { maxKeys: 4 })
    fc.assert(
      fc.property(
        level(level(level(level(leaf)))),
        fc.integer({ min: 1, max: 40 }),
        fc.nat({ max: 2 }),
        (value, piece, indent) => {
          expect(JSON.stringify(outlineOf(JSON.stringify(value, null, indent), piece)?.value)).toBe(
            JSON.stringify(value),
          )
        },
      ),
      propertyParameters({ runs: 500 }),
    )
  })

  test('follows strings with quotes and backslashes in the parts that it leaves out', () => {
    const text = fc.string({ unit: fc.constantFrom('"', '\\', 'a', '{', ']', 'é', '\n') })
    fc.assert(
      fc.property(fc.array(text), fc.integer({ min: 1, max: 9 }), (rows, piece) => {
        expect(outlineOf(JSON.stringify({ rows, status: 'done' }), piece)?.value).toEqual({ status: 'done' })
      }),
      propertyParameters({ runs: 500 }),
    )
  })
})

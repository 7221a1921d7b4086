import { expect, test } from 'vitest'
import { readablePayload } from '../../src/cli/payload.ts'

const shown = (body: string | Uint8Array, contentType?: string): string =>
  readablePayload(Buffer.from(body), contentType)

test('JSON is indented, with numbers and repeated names as they were sent', () => {
  expect(shown('{"a":1.50,"a":[1,{"b":"x\\"y"}],"e":[],"o":{ },"n":12345678901234567890}')).toBe(`{
  "a": 1.50,
  "a": [
    1,
    {
      "b": "x\\"y"
    }
  ],
  "e": [],
  "o": {},
  "n": 12345678901234567890
}
`)
})

test('letters that JSON escapes are shown as letters, and what could control the terminal stays escaped', () => {
  expect(
    shown('{"a":"\\u041f\\u0440\\u00fc \\ud83D\\uDE00","\\u00e9":"\\\\u00e9 \\ud83d \\u001b \\u202e \\u0041 \\n"}'),
  ).toBe('{\n  "a": "Прü 😀",\n  "é": "\\\\u00e9 \\ud83d \\u001b \\u202e \\u0041 \\n"\n}\n')
})

test('the fields of a form are in lines, as they read, and JSON in a field is indented', () => {
  expect(shown('a=1+2&b=%C3%A9&payload=%7B%22x%22%3A1%7D', 'application/x-www-form-urlencoded')).toBe(
    'a = 1 2\nb = é\npayload = {\n  "x": 1\n}\n',
  )
})

test('other text is as it is, without anything that could control the terminal', () => {
  expect(shown('one\r\ntwo \u001b[31m\u0000\u202e\u009b\u2028')).toBe(
    'one\ntwo \\u001b[31m\\u0000\\u202e\\u009b\\u2028\n',
  )
  expect(shown('{"broken')).toBe('{"broken\n')
})

test('bytes that are not text are counted', () => {
  expect(shown(Uint8Array.of(0xff, 0xfe))).toBe('2 bytes that are not text; --body writes them\n')
})

test('a long payload is cut off, and says so', () => {
  const long = shown(JSON.stringify({ text: 'x'.repeat(300_000) }))
  expect(long.length).toBeLessThan(200_100)
  expect(long).toMatch(/… and more; --body writes all of it\n$/)
})

test('JSON that nests deep is shown in time', () => {
  expect(shown(`${'['.repeat(5_000)}${']'.repeat(5_000)}`).length).toBeLessThan(200_100)
})

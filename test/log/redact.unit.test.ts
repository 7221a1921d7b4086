import { describe, expect, test } from 'vitest'
import { redactor } from '../../src/log/redact.ts'

const KEY = 'sk-Proj_0123/456+789abc'
const SECRET = 'whsec_aG9sZGZhc3QtdGVzdC1zZWNyZXQtMzItYnl0ZXMh'
const redact = redactor([KEY, SECRET, undefined, ''])
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('a text that contains a key', () => {
  test.each([
    ['as it is', KEY],
    ['in capitals', KEY.toUpperCase()],
    ['as a URL has it', encodeURIComponent(KEY)],
    ['as a URL has it, in small letters', encodeURIComponent(KEY).toLowerCase()],
    ['as base64', base64(KEY)],
    ['as base64 for URLs', Buffer.from(KEY).toString('base64url')],
    ['as base64, after the name of its scheme', base64(`Bearer ${KEY}`)],
    ['as base64, after one character', base64(`:${KEY}`)],
    ['as base64, after two', base64(`a:${KEY}`)],
    ['as hex', Buffer.from(KEY).toString('hex')],
    ['with something invisible in it', `${KEY.slice(0, 7)}\u200b${KEY.slice(7)}`],
    ['that is a secret without its prefix', SECRET.slice('whsec_'.length)],
  ])('%s is shown without the key', (_, spelling) => {
    expect(redact(`no such key: ${spelling} (really)`)).toBe('no such key: [redacted] (really)')
  })
})

test('a text without a key is shown unchanged', () => {
  const text = 'no such model: gpt-4o\u200b, ask sk-proj for another'
  expect(redact(text)).toBe(text)
})

test('a text with a key that is too short to be removed from words is replaced as a whole', () => {
  expect(redactor(['e'])('the provider answered')).toBe('[redacted]')
  expect(redactor(['q'])('the provider answered')).toBe('the provider answered')
})

test('a redactor without keys removes nothing', () => {
  expect(redactor([])('anything')).toBe('anything')
})

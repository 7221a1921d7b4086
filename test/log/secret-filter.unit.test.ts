import { describe, expect, test } from 'vitest'
import { createSecretFilter } from '../../src/log/redact.ts'
import { threadCpuMs } from '../support/thread-cpu.ts'

const KEY_BYTES = Buffer.from('0123456789abcdef0123456789ab/+?>')
const SECRET = `whsec_${KEY_BYTES.toString('base64')}`
const OLD = 'a-shared-secret/of+the=past&more'
const HEX = Buffer.from('another key of thirty-two bytes!').toString('hex')
const API_KEY = 'sk-Proj_0123456789abc'
const UMLAUT = 'ein-Schlüssel-für-alles'
const SHORT = 'hush'
const filter = createSecretFilter([SECRET, OLD, HEX, API_KEY, UMLAUT, SHORT])

const base64 = (text: string | Buffer): string => Buffer.from(text).toString('base64')

const SPELLINGS: readonly (readonly [string, string])[] = [
  ['as it is', SECRET],
  ['without its prefix', SECRET.slice('whsec_'.length)],
  ['as its key in hex', KEY_BYTES.toString('hex').toUpperCase()],
  ['as its key in base64 for URLs', KEY_BYTES.toString('base64url')],
  ['that is old', OLD],
  ['that is an API key', API_KEY],
  ['after the name of its scheme', `Bearer ${API_KEY}`],
  ['in hex', Buffer.from(OLD).toString('hex')],
  ['in base64', base64(OLD)],
  ['in base64 without padding', base64(OLD).replace(/=+$/, '')],
  ['in base64 for URLs', Buffer.from(OLD).toString('base64url')],
  ['as the password of a user', `Basic ${base64(`ab:${OLD}`)}`],
  ['as the password of another user', `Basic ${base64(`abc:${OLD}`)}`],
  ['as a user', `Basic ${base64(`${API_KEY}:`)}`],
  ['percent-encoded', encodeURIComponent(OLD)],
  ['percent-encoded in part', OLD.replace('/', '%2f')],
  ['percent-encoded letter by letter', OLD.replace(/./g, (letter) => `%${letter.charCodeAt(0).toString(16)}`)],
  ['as hex that stands for its bytes', Buffer.from(HEX, 'hex').toString('base64')],
  ['as header bytes are handed over', Buffer.from(UMLAUT).toString('latin1')],
  ['within something longer', `https://example.test/?token=${API_KEY}&a=1`],
]

describe('a header', () => {
  test.each(SPELLINGS)(
    'that contains a secret %s loses it, and keeps its name and the text beside it',
    (_how, value) => {
      const headers = filter.headers({ 'x-plain': 'plain', 'x-forwarded-auth': value })
      expect(headers['x-plain']).toBe('plain')
      expect(headers['x-forwarded-auth']).toContain('[redacted]')
      expect(filter.headers(headers)).toBe(headers)
    },
  )

  test.each(SPELLINGS)('loses a secret %s that stands behind a long text', (_how, value) => {
    const headers = filter.headers({ 'x-long': `${'whsec_0'.repeat(2_000)} ${value}` })
    expect(headers['x-long']).toContain('[redacted]')
  })

  test('loses a short secret that is a whole word, but not one that is a part of a word', () => {
    expect(filter.headers({ 'x-token': SHORT, 'x-pair': `token="${SHORT}"` })).toEqual({
      'x-token': '[redacted]',
      'x-pair': '[redacted]',
    })
    const innocent = { 'x-said': 'hushed' }
    expect(filter.headers(innocent)).toBe(innocent)
  })

  test.each(['push', 'deployment'])('keeps the word %s, which is also the operators’ short token', (token) => {
    const headers = { 'x-github-event': token, 'x-said': `${token} ${token}s` }
    const ofBoth = createSecretFilter([SECRET, SHORT, token], [SECRET, SHORT])
    expect(ofBoth.headers(headers)).toBe(headers)
    expect(ofBoth.headers({ ...headers, 'x-token': SHORT })).toEqual({ ...headers, 'x-token': '[redacted]' })
  })

  test('whose name is a secret gets another name', () => {
    expect(filter.headers({ [API_KEY.toLowerCase()]: '1' })).toEqual({ '[redacted]': '1' })
  })

  test('without a secret is unchanged, and so is the whole request', () => {
    const headers = {
      'user-agent': 'Sender/1.0 (whsec_; sk-Proj)',
      'x-hub-signature-256': `sha256=${'ab'.repeat(32)}`,
      'x-topic': '100%25 hushed',
    }
    expect(filter.headers(headers)).toBe(headers)
  })

  test('takes microseconds at most to search, with any content', () => {
    const headers = Object.fromEntries(
      Array.from({ length: 16 }, (_, at) => [`x-${at}`, `${SECRET.slice(0, -1)}%`.repeat(20)]),
    )
    const startedMs = threadCpuMs()
    for (let round = 0; round < 10; round++) filter.headers(headers)
    // 16 KiB, ten times.
    expect(threadCpuMs() - startedMs).toBeLessThan(1_000)
  })
})

test('a log line stays one line of JSON without its secrets', () => {
  const line = JSON.stringify({ msg: `refused ${API_KEY}`, id: OLD, word: SHORT })
  const cleaned = filter.line(`${line}\n`)
  expect(cleaned.endsWith('}\n')).toBe(true)
  expect(JSON.parse(cleaned)).toEqual({ msg: 'refused [redacted]', id: '[redacted]', word: SHORT })
  expect(filter.line('{"msg":"nothing"}\n')).toBe('{"msg":"nothing"}\n')
})

test('a filter without secrets removes nothing', () => {
  const headers = { a: 'b' }
  expect(createSecretFilter([]).headers(headers)).toBe(headers)
})

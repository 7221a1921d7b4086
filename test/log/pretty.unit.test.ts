import pino from 'pino'
import { describe, expect, test } from 'vitest'
import type { LogStyle } from '../../src/domain/config.ts'
import { PLAIN } from '../../src/log/log.ts'
import { lineFormat } from '../../src/log/pretty.ts'

const AT = new Date('2026-03-01T10:20:30.456Z')
const CLOCK = [AT.getHours(), AT.getMinutes(), AT.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')

/** The text of the lines that `write` logs, in this style. */
async function shown(write: (log: pino.Logger) => void, style: LogStyle = 'plain'): Promise<string> {
  const format = await lineFormat(style)
  let text = ''
  const timestamp = (): string => `,"time":"${AT.toISOString()}"`
  write(pino({ ...PLAIN, timestamp, level: 'trace' }, { write: (line) => void (text += format?.(line) ?? line) }))
  return text
}

describe('a line for people', () => {
  test('has the local time, the level, the message and the fields, and last what it is about', async () => {
    const about = { uid: '01a2', handler: 'orders', attempt: 1, type: 'completion.finished', source: 'ai' }
    expect(
      await shown((log) => log.info({ ...about, tokens: 650, note: 'two words', kept: ['a', 'b'] }, 'stored')),
    ).toBe(
      `${CLOCK}.456  INFO: stored  tokens=650  note="two words"  kept=a,b  handler=orders  type=completion.finished  source=ai  uid=01a2\n`,
    )
  })

  test('leaves out what says nothing: the first attempt, a type that the handler is named after, a request with a uid', async () => {
    const about = { uid: '01a2', handler: 'orders:job.failed', type: 'job.failed', reqId: 'r-1' }
    expect(await shown((log) => log.warn({ ...about, attempt: 1 }, 'm'))).toContain(
      ' WARN: m  handler=orders:job.failed  uid=01a2\n',
    )
    expect(await shown((log) => log.warn({ ...about, attempt: 2 }, 'm'))).toContain(
      'handler=orders:job.failed  attempt=2  uid=01a2\n',
    )
    expect(await shown((log) => log.warn({ reqId: 'r-1' }, 'm'))).toContain('m  reqId=r-1\n')
  })

  test('shows an error with its causes and frames on lines below it', async () => {
    const error = new Error('outside', { cause: new RangeError('inside') })
    error.stack = 'Error: outside\n    at own (file:///else/where.ts:1:2)\n    at node:internal/timers:5:6'
    const [first, ...below] = (await shown((log) => log.error({ err: error }, 'failed'))).split('\n')
    expect(first).toBe(`${CLOCK}.456 ERROR: failed`)
    expect(below.slice(0, 2)).toEqual(['    Error: outside', '        at own (/else/where.ts:1:2)'])
    expect(below.join('\n')).toContain('caused by: RangeError: inside')
    expect(below.join('\n')).not.toContain('node:internal')
  })

  test('shows the detail of a failed attempt in place of its text', async () => {
    const detail = {
      name: 'Error',
      message: 'no refund',
      stack: [`at refund (${process.cwd()}/handlers/orders.ts:11:63)`],
      cause: { name: 'RangeError', message: 'no charge', code: 'ECHARGE' },
    }
    expect(
      await shown((log) => log.warn({ error: 'no refund, caused by …', error_detail: detail }, 'attempt failed')),
    ).toBe(
      [
        `${CLOCK}.456  WARN: attempt failed`,
        '    Error: no refund',
        '        at refund (handlers/orders.ts:11:63)',
        '    caused by RangeError [ECHARGE]: no charge\n',
      ].join('\n'),
    )
  })

  test('shows an error that is only a text, and an object that is no error, as fields', async () => {
    expect(await shown((log) => log.error({ err: 'no luck', detail: { a: 1 } }, 'm'))).toContain(
      'm  err="no luck"  detail={"a":1}\n',
    )
  })

  test('cannot control the terminal, whatever is logged', async () => {
    const evil = '\u001b[2J\u001b]0;title\u0007\r\u009b31m'
    const line = await shown((log) => {
      const err = Object.assign(new Error(evil), { [evil]: evil })
      log.error({ err, [evil]: evil, list: [evil], uid: evil, error_detail: { name: evil, message: evil } }, evil)
    })
    expect(line).not.toMatch(/[^\P{Cc}\n]/u)
  })

  test('has colours only in the style with colours', async () => {
    const plain = await shown((log) => log.error({ a: 1 }, 'm'))
    const coloured = await shown((log) => log.error({ a: 1 }, 'm'), 'coloured')
    expect(plain).not.toContain('\u001b')
    expect(coloured).toContain('\u001b[31mERROR\u001b[39m')
  })
})

test('a line of JSON stays as it is', async () => {
  expect(JSON.parse(await shown((log) => log.info({ a: 1 }, 'm'), 'json'))).toMatchObject({ level: 30, a: 1, msg: 'm' })
})

import { expect, test } from 'vitest'
import { thrown } from '../../src/cli/events.ts'

test('a thrown error is printed with its frames, causes and parts, each level indented by one more step', () => {
  const detail = {
    name: 'PaymentError',
    message: 'not charged\ntry later',
    code: 'E_PAY',
    stack: ['at charge (/app/billing.ts:4:50)'],
    cause: { name: 'AggregateError', message: 'all failed', errors: [{ name: 'Error', message: 'refused' }] },
  }
  expect(thrown(detail, '  ')).toBe(
    [
      '  PaymentError: not charged (E_PAY)',
      '    try later',
      '      at charge (/app/billing.ts:4:50)',
      '  caused by',
      '    AggregateError: all failed',
      '    one of its parts',
      '      Error: refused',
      '',
    ].join('\n'),
  )
})

test('a thrown error is printed without control characters', () => {
  const text = thrown({ name: '\u001b[31m', message: 'a\u001b[2Jb', stack: ['at \u0007'], code: '\u009b1m' }, '')
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
})

import { expect, test } from 'vitest'
import { causeOf, signatureOf } from '../../src/domain/cause.ts'
import { threadCpuMs } from '../support/thread-cpu.ts'

test.each([
  ['connect ECONNREFUSED 10.0.0.5:5432', 'connect ECONNREFUSED <host>'],
  ['connect ECONNREFUSED ::1:5432', 'connect ECONNREFUSED <host>'],
  ['connect ECONNREFUSED [fe80::1]:80', 'connect ECONNREFUSED <host>'],
  ['getaddrinfo ENOTFOUND db-3.prod.internal', 'getaddrinfo ENOTFOUND <host>'],
  ['getaddrinfo EAI_AGAIN api.stripe.com', 'getaddrinfo EAI_AGAIN <host>'],
  [
    'TypeError: fetch failed, caused by connect ECONNREFUSED 127.0.0.1:9',
    'TypeError: fetch failed, caused by connect ECONNREFUSED <host>',
  ],
  ['POST https://api.acme.com/v1/x?key=1 answered 503', 'POST <url> answered 503'],
  ['Request failed with status code 404', 'Request failed with status code 404'],
  ['no event evt_01a21cc2-611c-73f8-a172-1c595fcadaa6', 'no event <id>'],
  ['no job acme_job_5f3a1cc2-611C-73f8-a172-1c595fcadaa6/1', 'no job <id>/<n>'],
  ['session-01a21cc2-611c-73f8-a172-1c595fcadaa6 is over', 'session-<id> is over'],
  ['the service answered 502 after 1834 ms', 'the service answered 502 after <n> ms'],
  [
    'the handler asked to be run again after 7000 ms; http://orders.internal:3000 answered 429: busy',
    'the handler asked to be run again after <n> ms; <url> answered 429: busy',
  ],
  ['no customer cus_NffrFeUfNV2Hib', 'no customer <id>'],
  ['No such payment_intent: pi_3MtwBwLkdIwHu7ix28a3tqPa', 'No such payment_intent: <id>'],
  ['order 8271 not found', 'order <n> not found'],
  ['order #8271: total -12.50 is negative', 'order #<n>: total <n> is negative'],
  ['user 1f0e9c7a-5b1e-7c3d-9a2b-0c1d2e3f4a5b is locked', 'user <id> is locked'],
  ['job 01ARZ3NDEKTSV4RRFFQ69G5FAV is gone', 'job <id> is gone'],
  ['commit 9fceb02d0ae598e95dc970b74767f19372d61af8 is unknown', 'commit <id> is unknown'],
  ['pointer 0x7ffee4 is null', 'pointer <id> is null'],
  ["Cannot read properties of undefined (reading 'plan')", 'Cannot read properties of undefined (reading <value>)'],
  [
    'duplicate key value violates unique constraint "invoice_pkey"',
    'duplicate key value violates unique constraint <value>',
  ],
  ["can't find the user's account", "can't find the user's account"],
  ['mail to jane.doe+x@example.org bounced', 'mail to <address> bounced'],
  ["ENOENT: no such file or directory, open '/var/lib/x/1.json'", 'ENOENT: no such file or directory, open <value>'],
  ['cannot open /var/lib/acme/12/report.pdf', 'cannot open <path>'],
  ['expired at 2026-11-27T03:04:05.123Z', 'expired at <time>'],
  ['closed since 2026-11-27, opens at 08:30', 'closed since <time>, opens at <time>'],
  ['the handler did not finish within 30000 ms', 'the handler did not finish within <n> ms'],
  ['its process ended with exit code 137', 'its process ended with exit code 137'],
  ['ERR_INVALID_ARG_TYPE and UND_ERR_CONNECT_TIMEOUT', 'ERR_INVALID_ARG_TYPE and UND_ERR_CONNECT_TIMEOUT'],
  ['event.data.object is missing', 'event.data.object is missing'],
  ['Zahlung «42» für Müller fehlt', 'Zahlung <value> für Müller fehlt'],
  ['注文「あ」がない, „Müller“ fehlt', '注文<value>がない, <value> fehlt'],
  [
    `SyntaxError: Unexpected token 'o', ..."_12","b": oops, "lon"... is not valid JSON`,
    'SyntaxError: Unexpected token <value>, <value> is not valid JSON',
  ],
  [
    'duplicate key: Key (email, name)=(a@b.c, Acme (Berlin) GmbH) already exists.',
    'duplicate key: Key (email, name)=(<value>) already exists.',
  ],
  ['expired at Fri Nov 27 2026 03:04:05 GMT+0100 (CET)', 'expired at <time>'],
  ['expired at Sat, 28 Nov 2026 03:04:05 GMT', 'expired at <time>'],
  ['session V1StGXR8_Z5jdHi6B-myT is gone', 'session <id> is gone'],
  ['first line\n  second   line', 'first line second line'],
  ['in \u001b[31mred\u001b[39m\u0007', 'in red'],
  ['', 'an error without a message'],
])('of the error %j the signature is %j', (error, signature) => {
  expect(signatureOf(error)).toBe(signature)
})

test('a signature is bounded, and so is the time that it takes, whatever the error is', () => {
  const started = threadCpuMs()
  for (const part of [
    'a',
    '"(',
    'Key (',
    'Key (a)=(',
    'aB1-',
    'Nov 27 2026 ',
    '„',
    '1',
    '/a',
    '"',
    "'",
    ':',
    'a.',
    'a_1',
    '0:',
    '@a.',
    'x://',
    '-1-',
    ' ',
  ])
    expect(signatureOf(part.repeat(10_000)).length).toBeLessThanOrEqual(300)
  expect(threadCpuMs() - started).toBeLessThan(1_000)
})

test('the signature of a signature is the same', () => {
  const once = signatureOf("no 'x' at https://a.b/c, 12 of 10.0.0.1, id pi_3MtwBwLkdIwHu7ix")
  expect(signatureOf(once)).toBe(once)
})

const thrown = (...stack: readonly string[]) => ({ name: 'Error', message: 'no', stack })
const atOf = (...stack: readonly string[]) => causeOf('no', thrown(...stack), '/app/handlers').at

test('a cause names the first line of the user’s own modules', () => {
  expect(
    atOf(
      'at send (/app/node_modules/pg/lib/client.js:1:2)',
      'at Object.run (/app/handlers/node_modules/x/index.js:3:4)',
      'at async charge (/app/handlers/pay/charge.ts:42:9)',
      'at run (/app/handlers/pay.ts:7:1)',
    ),
  ).toBe('pay/charge.ts:42')
  expect(atOf('at file:///app/handlers/pay.ts:7:1')).toBe('pay.ts:7')
  expect(atOf('at async /app/handlers/pay.ts?v=3:7:1')).toBe('pay.ts:7')
  expect(atOf('at query (/app/lib/db.ts:9:1)', 'at run (/app/handlers/pay.ts:7:1)')).toBe('../lib/db.ts:9')
  expect(atOf('at x (/opt/elsewhere.js:1:1)', 'strange')).toBeUndefined()
  expect(causeOf('no', { ...thrown(), cause: thrown('at f (/app/handlers/a.ts:1:1)') }, '/app/handlers').at).toBe(
    'a.ts:1',
  )
  expect(
    causeOf('no', { ...thrown(), errors: [thrown(), thrown('at f (/app/handlers/a.ts:3:1)')] }, '/app/handlers').at,
  ).toBe('a.ts:3')
  expect(causeOf('no', undefined, '/app/handlers')).not.toHaveProperty('at')
})

test('errors that differ in what is taken out have one cause, and others at other lines have not', () => {
  const first = causeOf('no order 1', thrown('at f (/app/handlers/a.ts:1:1)'), '/app/handlers')
  expect(first.id).toMatch(/^[0-9a-f]{12}$/)
  expect(causeOf('no order 22', thrown('at g (/app/handlers/a.ts:1:30)'), '/app/handlers')).toEqual(first)
  expect(causeOf('no order 1', thrown('at f (/app/handlers/a.ts:2:1)'), '/app/handlers').id).not.toBe(first.id)
  expect(causeOf('no invoice 1', thrown('at f (/app/handlers/a.ts:1:1)'), '/app/handlers').id).not.toBe(first.id)
})

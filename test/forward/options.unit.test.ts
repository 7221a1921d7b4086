import { type ForwardOptions, forward, type Router } from 'holdfast'
import { expect, test } from 'vitest'
import { createRouter, type RegisteredHandler } from '../../src/domain/router.ts'

const faultOf = (options: object): string => {
  try {
    forward(options as ForwardOptions)
    return ''
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return (error as Error).message
  }
}

test.each([
  'http://localhost:3000',
  'http://LOCALHOST.',
  'http://api.localhost',
  'http://127.0.0.1',
  'http://0x7f.1',
  'http://2130706433',
  'http://[::1]:3000',
  'http://[::ffff:127.0.0.1]',
  'http://10.1.2.3',
  'http://172.16.0.1',
  'http://192.168.0.1',
  'http://169.254.169.254/latest',
  'http://[fd00:ec2::254]',
  'http://orders:8080',
  'http://orders.internal',
  'http://printer.local',
  'http://orders.shop.svc',
])('the private URL %s is refused as the module loads, and accepted with allowPrivate', (url) => {
  expect(faultOf({ url })).toMatch(/is not on the public internet: allowPrivate: true allows a private network$/)
  expect(faultOf({ url, allowPrivate: true })).toBe('')
})

test.each(['http://0.0.0.0', 'http://224.0.0.1', 'http://[::]'])(
  'the address of %s cannot be connected to, even with allowPrivate',
  (url) => {
    expect(faultOf({ url })).toMatch(/not on the public internet/)
    expect(faultOf({ url, allowPrivate: true })).toMatch(/not on the public internet$/)
  },
)

test('public URLs, and all forms of secrets, are accepted', () => {
  expect(faultOf({ url: 'https://orders.example.com/hooks?a=b' })).toBe('')
  expect(faultOf({ url: 'https://93.184.215.14', secret: 'any words' })).toBe('')
  expect(
    faultOf({ url: 'https://orders.example.com', secret: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'old'] }),
  ).toBe('')
})

test.each([
  [{}, 'url is not an http(s) URL'],
  [{ url: undefined }, 'url is not an http(s) URL'],
  [{ url: 'orders.example.com' }, 'url is not an http(s) URL'],
  [{ url: 'ftp://orders.example.com' }, 'url is not an http(s) URL'],
  [{ url: 'https://me:pa55word@orders.example.com' }, 'url has credentials: send them by headers'],
  [
    { url: 'https://a.example', secret: undefined },
    'secret is undefined, empty or no text: leave it out to send unsigned requests',
  ],
  [
    { url: 'https://a.example', secret: ['', 'x'] },
    'secret is undefined, empty or no text: leave it out to send unsigned requests',
  ],
  [{ url: 'https://a.example', secret: [] }, 'secret is a list of 1 to 8 secrets'],
  [{ url: 'https://a.example', secret: 'whsec_pa55word!' }, 'secret begins with whsec_, but is not base64 after that'],
  [{ url: 'https://a.example', headers: { 'Webhook-Id': 'x' } }, 'headers has webhook-id, which is not for you to set'],
  [{ url: 'https://a.example', headers: { host: 'x' } }, 'headers has host, which is not for you to set'],
  [{ url: 'https://a.example', headers: { 'x-a': 'pa55word\r\n' } }, 'headers cannot be sent with "x-a" as it is'],
  [{ url: 'https://a.example', headers: { 'x a': '1' } }, 'headers cannot be sent with "x a" as it is'],
  [{ url: 'https://a.example', headers: new Headers({ 'x-a': '1' }) }, 'headers is no plain object of texts'],
  [{ url: 'https://a.example', headers: new Map([['x-a', '1']]) }, 'headers is no plain object of texts'],
  [{ url: 'https://a.example', headers: { 'X-A': '1', 'x-a': '2' } }, 'headers has x-a twice'],
  [{ url: 'https://a.example', headers: { 'x-a': undefined } }, 'headers cannot be sent with "x-a" as it is'],
  [{ url: 'https://a.example', finalStatuses: [204] }, 'finalStatuses is not a list of statuses from 300 to 599'],
  [{ url: 'https://a.example', finalStatus: [404] }, 'unknown option finalStatus (is finalStatuses meant?)'],
  [
    { url: 'x:pa55word', timeoutMs: 0, allowPrivate: 'yes' },
    'allowPrivate is neither true nor false; timeoutMs is not a whole number from 1 to 2147483647; url is not an http(s) URL',
  ],
])('the options %j are refused with every fault and no value', (options, message) => {
  const fault = faultOf(options)
  expect(fault).toBe(`forward: ${message}`)
  expect(fault).not.toContain('pa55word')
})

test('a handler of every kind of event can be a forward', () => {
  const registered: RegisteredHandler[] = []
  const module = (router: Router) => {
    const toOrders = forward({ url: 'https://orders.example.com' })
    router.on('completion.finished', toOrders)
    router.on({ source: 'stripe', type: '*' }, { name: 'orders', concurrency: 4 }, toOrders)
  }
  module(createRouter('forwards', registered))
  expect(registered.map(({ definition }) => definition.name)).toEqual(['forwards:completion.finished', 'orders'])
})

import { describe, expect, test } from 'vitest'
import { failureOf, OUR_URL, startWebhookManager } from './registrations.ts'

describe('the URL that a caller gives for a registration', () => {
  test.each([
    ['ftp://hooks.example/x', 'is not an http(s) URL'],
    ['hooks.example', 'is not an http(s) URL'],
    ['/v1/webhooks/shop', 'is not an http(s) URL'],
    ['https://', 'is not an http(s) URL'],
    ['https://user@hooks.example/x', 'holds a user name or a password'],
    ['https://:pass@hooks.example/x', 'holds a user name or a password'],
    ['https://hooks.example/a b', 'holds whitespace or a control character'],
    ['https://hooks.exam\nple/a', 'holds whitespace or a control character'],
    ['https://hooks.example/\u0000', 'holds whitespace or a control character'],
  ])('as %j is refused', async (url, reason) => {
    const { fake, webhooks } = await startWebhookManager('ai')
    expect(await failureOf(webhooks.create('shop', { url }), 'invalid_request')).toBe(`url ${reason}`)
    expect(await failureOf(webhooks.update('shop', 'wh_1', { url }), 'invalid_request')).toBe(`url ${reason}`)
    expect(fake.received).toEqual([])
  })

  test('is sent in its normal form', async () => {
    const { fake, webhooks } = await startWebhookManager('ai')
    const { registration } = await webhooks.create('shop', { url: ' HTTPS://Tunnel.Example:443/a/../ü?b \n' })
    expect(fake.hooks).toMatchObject([{ url: 'https://tunnel.example/%C3%BC?b' }])
    await webhooks.update('shop', registration.id, { url: 'http://Tunnel.Example' })
    expect(fake.hooks).toMatchObject([{ url: 'http://tunnel.example/' }])
  })
})

test('an update of a registration without a change is refused', async () => {
  const { fake, webhooks } = await startWebhookManager('ai')
  await failureOf(webhooks.update('shop', 'wh_1', {}), 'invalid_request')
  expect(fake.received).toEqual([])
})

test.each([
  [' ', 'events: no event is named'],
  ['\u3000', 'events: no event is named'],
  ['push\n', "events: an event's name holds a control character"],
  ['push.\u001b[31m', "events: an event's name holds a control character"],
  ['\t', "events: an event's name holds a control character"],
  ['a\ud800', "events: an event's name holds a control character"],
  [' .opened', 'events: no event is named'],
])('the event name %j is refused for a registration', async (event, reason) => {
  const { fake, webhooks } = await startWebhookManager('github')
  fake.add({ url: OUR_URL })
  for (const asked of [
    () => webhooks.create('shop', { events: ['push', event] }),
    () => webhooks.ensure('shop', { events: [event] }),
    () => webhooks.update('shop', '1001', { events: [event] }),
  ])
    expect(await failureOf(asked(), 'invalid_request')).toBe(reason)
  expect(fake.received).toEqual([])
})

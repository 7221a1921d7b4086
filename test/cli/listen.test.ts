import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import Stripe from 'stripe'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { mainFile } from '../support/service.ts'
import { listenTo, startTarget } from './listen-target.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

const STRIPE_SECRET = 'whsec_a_secret_of_stripe_that_is_long'

const stripeEvent = (type: string, id = `evt_${Math.random()}`) => {
  const body = JSON.stringify({ id, object: 'event', type, created: 1_767_225_600, data: { object: { id: 'in_1' } } })
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'user-agent': 'Stripe/1.0',
    'stripe-signature': Stripe.webhooks.generateTestHeaderString({ payload: body, secret: STRIPE_SECRET }),
  }
  return { id, body, headers }
}

const TOKEN = 'a-token-of-another-machine'

let service: LocalService
beforeAll(async () => {
  service = await startLocal({ SOURCES: 'ai,stripe', SOURCE_STRIPE_SECRET: STRIPE_SECRET, OPS_TOKEN: TOKEN })
})

test('listen forwards the events of a source as they came: a server verifies them with the same secret', async () => {
  await post(service.publicUrl, stripeEvent('invoice.before'), '/v1/webhooks/stripe')
  const target = await startTarget()
  const { text, begun, wrote, end } = listenTo(
    target.url,
    service.environment,
    '--source',
    'stripe',
    '--type',
    'invoice.*',
  )
  await begun()
  await post(service.publicUrl, signedEvent('invoice.elsewhere'))
  await post(service.publicUrl, stripeEvent('charge.refunded'), '/v1/webhooks/stripe')
  const event = stripeEvent('invoice.paid')
  const { uid } = await post(service.publicUrl, event, '/v1/webhooks/stripe')
  await wrote('→ 200')

  expect(target.got).toHaveLength(1)
  const [{ headers, body, url } = { headers: {}, body: Buffer.of(), url: '' }] = target.got
  const verified = Stripe.webhooks.constructEvent(body, String(headers['stripe-signature']), STRIPE_SECRET)
  expect(verified).toMatchObject({ id: event.id, type: 'invoice.paid' })
  expect(url).toBe('/hooks?from=holdfast')
  expect(headers).toMatchObject({
    host: `127.0.0.1:${target.port}`,
    'user-agent': 'Stripe/1.0',
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(event.body.length),
    'holdfast-uid': uid,
  })
  expect(text.out).toMatch(new RegExp(`^\\d\\d:\\d\\d:\\d\\d {2}invoice\\.paid {2}${uid} {2}→ 200 {2}[\\d.]+ m?s\\n$`))
  expect(await end()).toBe(0)
  expect(text.err).toContain('1 event forwarded\n')
})

test('listen reports a local server that is away or fails, goes on, and can forward an event again', async () => {
  const first = await startTarget(500)
  const { text, begun, wrote, end } = listenTo(first.url, service.environment)
  await begun()
  const failed = await post(service.publicUrl, signedEvent('acme.one'))
  await wrote('→ 500')
  await first.close()
  await post(service.publicUrl, signedEvent('acme.two'))
  await wrote('→ nothing listens there (ECONNREFUSED)')
  const again = await startTarget(200, first.port)
  await post(service.publicUrl, signedEvent('acme.three'))
  await wrote('→ 200')
  expect(await end()).toBe(0)
  expect(text.err).toContain('3 events forwarded, 2 of them not with an answer of 2xx')
  expect(text.err).toContain(`holdfast listen --to ${first.url} --event ${failed.uid}`)

  const one = await run(['listen', '--to', first.url, '--event', failed.uid], service.environment)
  expect(one).toMatchObject({ code: 0, out: expect.stringMatching(/acme\.one .*→ 200/) })
  expect(again.got.map(({ headers }) => headers['holdfast-uid'])).toContain(failed.uid)
  await again.close()
  expect(await run(['listen', '--to', first.url, '--event', failed.uid], service.environment)).toMatchObject({
    code: 1,
  })
})

test('listen --since also forwards what came before, in order of receipt, and then goes on', async () => {
  const ids: string[] = []
  for (const type of ['since.1', 'since.2', 'since.3']) ids.push((await post(service.publicUrl, signedEvent(type))).uid)
  const target = await startTarget()
  const uids = () => target.got.map(({ headers }) => String(headers['holdfast-uid']))
  listenTo(target.url, service.environment, '--since', '15m', '--type', 'since.*')
  await eventually(
    async () => target.got.length,
    (count) => count === 3,
  )
  ids.push((await post(service.publicUrl, signedEvent('since.4'))).uid)
  await eventually(
    async () => target.got.length,
    (count) => count === 4,
  )
  expect(uids()).toEqual(ids)
})

test('listen --from reaches another service, with its token', async () => {
  const target = await startTarget()
  const from = ['--from', `${service.opsUrl}/`]
  const refused = await run(['listen', '--to', target.url, ...from, '--token', 'wrong'], {})
  expect(refused).toMatchObject({ code: 77, err: expect.stringContaining('OPS_TOKEN') })
  const { begun, wrote } = listenTo(target.url, {}, ...from, '--token', TOKEN)
  await begun()
  await post(service.publicUrl, signedEvent('acme.thing'))
  await wrote('→ 200')
})

test.each([
  [[], '--to is missing'],
  [['--to', 'localhost:3000'], '--to is no URL'],
  [['--to', 'ftp://localhost'], '--to is no URL'],
  [['--to', 'http://localhost', '--from', 'http://user:word@localhost'], '--from is the plain address'],
  [['--to', 'http://localhost', '--since', 'soon'], '--since is neither'],
  [['--to', 'http://localhost', '--event', 'x', '--type', 'y'], '--event goes without'],
])('listen with the arguments %j is refused', async (args, message) => {
  const { code, err } = await run(['listen', ...args], {})
  expect(code).toBe(2)
  expect(err).toContain(message)
})

test('listen ends while the local server does not answer, and says nothing after its summary', async () => {
  const gotOne = Promise.withResolvers<void>()
  const silent = createServer(() => gotOne.resolve())
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void silent.close())
  const { port } = silent.address() as { port: number }
  const { text, end, begun } = listenTo(`http://127.0.0.1:${port}`, service.environment)
  await begun()
  await post(service.publicUrl, signedEvent('acme.thing'))
  await gotOne.promise
  expect(await end()).toBe(0)
  await new Promise((resolve) => silent.close(resolve))
  expect(text.err).toMatch(/ to http.*\n0 events forwarded\n$/)
  expect(text.out).toBe('')
})

test('listen ends when the reader of its output is gone', async () => {
  const target = await startTarget()
  const child = spawn(process.execPath, [mainFile, 'listen', '--to', target.url], {
    env: { ...process.env, OPS_TOKEN: TOKEN, OPS_PORT: service.environment.OPS_PORT },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stderr, 'data')
  child.stdout.destroy()
  const exited = once(child, 'exit')
  await post(service.publicUrl, signedEvent('acme.thing'))
  expect(await exited).toEqual([0, null])
})

test('listen without a service fails', async () => {
  const target = await startTarget()
  expect(await run(['listen', '--to', target.url], { OPS_PORT: String(target.port) })).toMatchObject({ code: 69 })
})

test.each(['SIGINT', 'SIGHUP'] as const)('listen ends with exit code 0 on %s', async (signal) => {
  const target = await startTarget()
  const child = spawn(process.execPath, [mainFile, 'listen', '--to', target.url], {
    env: { ...process.env, OPS_TOKEN: TOKEN, OPS_PORT: service.environment.OPS_PORT },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stderr, 'data')
  child.kill(signal)
  expect(await once(child, 'exit')).toEqual([0, null])
})

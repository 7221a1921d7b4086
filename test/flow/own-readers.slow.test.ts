import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

const SECRET = 'a-token-of-twenty-four-characters'
const ACME = `export default {
  name: 'acme',
  verify: { scheme: 'shared-secret', from: { header: 'x-token' } },
  event: ({ body }) => {
    while (body.loops);
    return { id: body.id, type: body.type, data: body.data }
  },
  api: {
    registrations: {
      list: () => ({ method: 'GET', path: '/hooks' }),
      readList: ({ loops, items }) => {
        while (loops);
        return { items }
      },
      create: ({ url }, secret) => ({ method: 'POST', path: '/hooks', json: { url, secret } }),
      update: () => undefined,
      remove: () => null,
      read: (answer) => answer,
      events: ['acme.*'],
    },
  },
  schemas: { 'acme.slow': { properties: { text: { pattern: '^(?=a)([a-z0-9]+[-_.]?)+$' } } } },
}`

async function start(more: Record<string, string> = {}, acme = ACME) {
  const directory = temporaryDirectory()
  const PROVIDERS_DIR = join(directory, 'providers')
  mkdirSync(PROVIDERS_DIR)
  writeFileSync(join(PROVIDERS_DIR, 'acme.mjs'), acme)
  const module =
    'export default (r) => { r.on("acme.*", { name: "acme" }, (e, c) => c.log.info("handled")); r.on("honest", () => {}) }'
  const HANDLERS_DIR = handlersIn(directory, { 'all.js': module })
  const environment = {
    PROVIDERS_DIR,
    HANDLERS_DIR,
    SOURCES: 'ai,acme',
    SOURCE_ACME_SECRET: SECRET,
    HANDLER_TIMEOUT_MS: '2000',
    ...more,
  }
  const service = await startService({ ...environment, RETRY_MAX_ATTEMPTS: '1' }, directory)
  const send = (body: object) => {
    const headers = { 'content-type': 'application/json', 'x-token': SECRET }
    return post(service.publicUrl, { id: '', body: JSON.stringify(body), headers }, '/v1/webhooks/acme')
  }
  return { service, send }
}

test('a user’s event reader that loops is logged, delays its own source only until its deadline, and delays no other source', async () => {
  const { service, send } = await start()
  const order: string[] = []
  const sent = (name: string, sending: Promise<{ uid: string }>) =>
    sending.then((answer) => {
      order.push(name)
      return answer
    })
  const looping = sent('loops', send({ id: 'a', type: 'acme.a', loops: true }))
  const next = sent('next', send({ id: 'b', type: 'acme.b', data: {} }))
  do await sent('honest', post(service.publicUrl, signedEvent('honest')))
  while (!order.includes('loops'))
  const [{ uid }, good] = await Promise.all([looping, next])
  // Many of the honest ones were answered meanwhile, and what came behind it only after.
  expect(order.indexOf('loops')).toBeGreaterThan(1)
  expect(order.indexOf('next')).toBeGreaterThan(order.indexOf('loops'))

  expect(await service.api(`/v1/events/${uid}`)).toMatchObject({
    status: 'quarantined',
    type: 'unknown',
    reasons: ['provider acme took longer than 2000 ms to read it'],
  })
  expect(await service.logged(({ provider, level }) => provider === 'acme' && level === 40)).toMatchObject({
    module: expect.stringMatching(/acme\.mjs$/),
    deadline_ms: 2000,
  })
  await service.logged((line) => line.uid === good.uid && line.msg === 'handled')
  expect(await service.stop()).toBe(0)
})

test('a user’s registration functions run on a thread of their own, and their requests reach the provider unchanged', async () => {
  const asked: unknown[] = []
  const hook = { id: 'h', url: 'https://hooks.example', events: ['acme.*'], active: true }
  const api = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push(body)
      const page = asked.length === 1 ? { loops: true } : { items: [hook] }
      response.end(JSON.stringify(request.method === 'POST' ? hook : page))
    })
  })
  onTestFinished(() => void api.close())
  await once(api.listen(0, '127.0.0.1'), 'listening')
  const SOURCE_ACME_API_URL = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
  const { service } = await start({ SOURCE_ACME_API_URL, PUBLIC_URL: 'https://hooks.example' })

  let isOpen = true
  const looping = fetch(`${service.opsUrl}/v1/registrations?source=acme`).finally(() => {
    isOpen = false
  })
  let answered = 0
  while (isOpen) {
    await post(service.publicUrl, signedEvent('honest'))
    answered++
  }
  expect((await looping).status).toBe(502)
  // Not one after the other behind what looped for two seconds: then it were one, or two.
  expect(answered).toBeGreaterThan(3)

  expect((await service.api('/v1/registrations?source=acme')).items).toEqual([{ source: 'acme', ...hook, ours: false }])
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ source: 'acme' })
  const made = await service.api('/v1/registrations', { method: 'POST', headers, body })
  expect(made).toMatchObject({ action: 'created', registration: { id: 'h' } })
  expect(JSON.parse(String(asked.at(-1)))).toEqual({ url: 'https://hooks.example/v1/webhooks/acme', secret: SECRET })
  expect(await service.stop()).toBe(0)
})

test('a user’s module that keeps running after it is loaded delays no other sender', async () => {
  // In the threads of the service; a handler process that does not load keeps it from starting.
  const looping = `if (process.argv[1].endsWith('/src/main.ts')) setInterval(() => { for (;;); }, 1)`
  const { service } = await start({}, `${looping}\n${ACME}`)
  for (let sent = 0; sent < 20; sent++) await post(service.publicUrl, signedEvent('honest'))
  expect(await service.stop()).toBe(0)
})

test('an unbounded schema of a user’s provider is checked before the handler, not at the webhook', async () => {
  const { service, send } = await start()
  const good = await send({ id: 'a', type: 'acme.slow', data: { text: 'abc' } })
  await service.logged((line) => line.uid === good.uid && line.msg === 'handled')
  const bad = await send({ id: 'b', type: 'acme.slow', data: { text: 'bad' } })
  const quarantined = await eventually(
    () => service.api(`/v1/events/${bad.uid}`),
    ({ status }) => status === 'quarantined',
  )
  expect(quarantined.reasons).toEqual(['data: /text must match pattern "^(?=a)([a-z0-9]+[-_.]?)+$"'])
  const endless = await send({ id: 'c', type: 'acme.slow', data: { text: `${'a'.repeat(40)}!` } })
  await post(service.publicUrl, signedEvent('honest'))
  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${endless.uid}`),
    (event) => event.deliveries[0]?.state === 'dead',
  )
  expect(deliveries[0].last_error).toContain('deadline')
  expect(await service.stop()).toBe(0)
})

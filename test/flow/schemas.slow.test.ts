import { expect, test } from 'vitest'
import { post, type SignedEvent, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from '../support/service.ts'

/** A check that held the listening thread would hold an honest sender for as long; without one, that is some milliseconds. */
const HONEST_MS = 5_000

const handle = (type: string, schema: object, name = type): string =>
  `router.on('${type}', { name: '${name}', schema: ${JSON.stringify(schema)} }, (event, context) => context.log.info('handled'))`

function serve(handlers: readonly string[], environment: Record<string, string> = {}): Promise<Service> {
  const directory = temporaryDirectory()
  const text = `export default (router) => { router.on('honest', () => {}); ${handlers.join('\n')} }`
  const HANDLERS_DIR = handlersIn(directory, { 'schemas.js': text })
  return startService({ HANDLERS_DIR, HANDLER_TIMEOUT_MS: '2000', RETRY_MAX_ATTEMPTS: '1', ...environment }, directory)
}

/** Sends an event, and honest ones beside it until it is acknowledged. Gives its uid, and how long the slowest honest one waited. */
async function sendBeside(service: Service, event: SignedEvent): Promise<{ uid: string; slowestMs: number }> {
  let isOpen = true
  const sent = post(service.publicUrl, event).finally(() => {
    isOpen = false
  })
  let slowestMs = 0
  do slowestMs = Math.max(slowestMs, (await post(service.publicUrl, signedEvent('honest'))).ms)
  while (isOpen)
  const { status, uid } = await sent
  expect(status).toBe(200)
  return { uid, slowestMs }
}

const quarantined = (service: Service, uid: string) =>
  eventually(
    () => service.api(`/v1/events/${uid}`),
    ({ status }) => status === 'quarantined',
  )

const LETTERS = `${'a'.repeat(30)}!`
const nested = (depth: number): object => (depth === 0 ? { bad: 1 } : { next: nested(depth - 1) })

test('a pattern that backtracks without end in other engines is checked when the webhook is received', async () => {
  const service = await serve([
    handle('thing', { properties: { name: { type: 'string', pattern: '^([a-z0-9]+[-_.]?)+$' } } }),
  ])
  const event = signedEvent('thing', { name: LETTERS })
  const { uid, slowestMs } = await sendBeside(service, event)
  expect(slowestMs).toBeLessThan(HONEST_MS)
  expect(await service.api(`/v1/events/${uid}`)).toMatchObject({ status: 'quarantined', deliveries: [] })
  // Its redelivery does not hold up other events either.
  expect((await sendBeside(service, event)).slowestMs).toBeLessThan(HONEST_MS)
  expect(await service.stop()).toBe(0)
})

test('an event whose schema check takes too long at the webhook is checked before its handler, which does not run, and is quarantined', async () => {
  const service = await serve([
    handle('list', { properties: { list: { type: 'array', uniqueItems: true } } }),
    handle('list', { type: 'object' }, 'other'),
  ])
  const list = Array.from({ length: 50_000 }, (_, n) => ({ n }))
  const good = await sendBeside(service, signedEvent('list', { list }))
  expect(good.slowestMs).toBeLessThan(HONEST_MS)
  await service.logged(({ uid, handler, msg }) => uid === good.uid && handler === 'list' && msg === 'handled')

  const bad = await sendBeside(service, signedEvent('list', { list: [...list, { n: 7 }] }))
  expect(bad.slowestMs).toBeLessThan(HONEST_MS)
  const reasons = ['list: /list must NOT have duplicate items (items ## 7 and 50000 are identical)']
  expect(await quarantined(service, bad.uid)).toMatchObject({ reasons })
  const line = await service.logged(({ uid, msg }) => uid === bad.uid && msg === 'event quarantined')
  expect(line).toMatchObject({ level: 40, handler: 'list', reasons })
  // Another handler of the same event is not disturbed.
  await service.logged(({ uid, handler, msg }) => uid === bad.uid && handler === 'other' && msg === 'handled')
  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${bad.uid}`),
    (event) => event.deliveries.every(({ state }: { state: string }) => state === 'dead' || state === 'succeeded'),
  )
  expect(deliveries).toMatchObject([
    { handler: 'list', state: 'dead', attempts: 1, history: [{ outcome: 'rejected' }] },
    { handler: 'other', state: 'succeeded' },
  ])
  expect(
    service.logs.filter(({ uid, handler, msg }) => uid === bad.uid && handler === 'list' && msg === 'handled'),
  ).toEqual([])
  expect(await service.stop()).toBe(0)
})

test('a schema check that never ends is a timeout of the handler, and delays no acknowledgement', async () => {
  const twice = { anyOf: [{ $ref: '#' }, { $ref: '#' }] }
  const service = await serve([
    handle('deep', { properties: { next: twice, bad: { type: 'string' } } }),
    handle('ahead', { properties: { name: { pattern: '^(?=a)([a-z0-9]+[-_.]?)+$' } } }),
  ])
  for (const event of [
    signedEvent('deep', nested(50) as Record<string, unknown>),
    signedEvent('ahead', { name: LETTERS }),
  ]) {
    const { uid, slowestMs } = await sendBeside(service, event)
    expect(slowestMs).toBeLessThan(HONEST_MS)
    const { deliveries } = await eventually(
      () => service.api(`/v1/events/${uid}`),
      (each) => each.deliveries[0]?.state === 'dead',
    )
    expect(deliveries[0].last_error).toContain('deadline')
    expect((await sendBeside(service, event)).slowestMs).toBeLessThan(HONEST_MS)
  }
  expect(await service.stop()).toBe(0)
})

test('a replay of an event that was quarantined before its handler ran runs it once its schema is right', async () => {
  const directory = temporaryDirectory()
  const module = (pattern: string) => `export default (router) => {
    ${handle('thing', { properties: { name: { pattern } } })}
  }`
  const HANDLERS_DIR = handlersIn(directory, { 'thing.js': module('^(?=b)') })
  const before = await startService({ HANDLERS_DIR }, directory)
  const { uid } = await post(before.publicUrl, signedEvent('thing', { name: 'a' }))
  expect(await quarantined(before, uid)).toMatchObject({ reasons: ['thing: /name must match pattern "^(?=b)"'] })
  expect(await before.stop()).toBe(0)

  handlersIn(directory, { 'thing.js': module('^(?=a)') })
  const after = await startService({ HANDLERS_DIR }, directory)
  await after.api(`/v1/events/${uid}/replay`, { method: 'POST' })
  await after.logged((line) => line.uid === uid && line.msg === 'handled')
  expect(await after.api(`/v1/events/${uid}`)).toMatchObject({ status: 'accepted', reasons: [] })
  expect(await after.stop()).toBe(0)
})

test('a schema that is not valid keeps the service from starting, and the error names it as its author wrote it', async () => {
  const starting = serve([handle('thing', { properties: { name: { type: 'txt' } } })])
  await expect(starting).rejects.toThrow(
    /handler thing: its schema is not valid: schema is invalid: data\/properties\/name/,
  )
  await expect(serve([handle('thing', { $async: true })])).rejects.toThrow(/handler thing: .*\$async is not supported/)
})

test('the largest body with schemas that are slow at every place of it delays no other request', async () => {
  const any = { anyOf: Array.from({ length: 20 }, (_, n) => ({ const: `x${n}` })) }
  const service = await serve([handle('large', { additionalProperties: { items: any } })], {
    HANDLER_TIMEOUT_MS: '30000',
  })
  const list = Array.from({ length: 150_000 }, () => 'x19')
  const body = JSON.stringify({ id: 'large', type: 'large', created_at: new Date().toISOString(), data: { list } })
  const { uid, slowestMs } = await sendBeside(service, { id: 'large', body, headers: signedHeaders(body) })
  expect(slowestMs).toBeLessThan(HONEST_MS)
  await service.logged((line) => line.uid === uid && line.msg === 'handled')
  expect(await service.stop()).toBe(0)
})

import { beforeAll, expect, test } from 'vitest'
import { OPS_READ_TOKEN, OPS_TOKEN, shareScene } from './scene.ts'
import { signedIn, type Visitor } from './visitor.ts'

const scene = shareScene()
let operator: Visitor
let reader: Visitor
beforeAll(async () => {
  operator = await signedIn(scene().opsUrl, OPS_TOKEN)
  reader = await signedIn(scene().opsUrl, OPS_READ_TOKEN)
})

/** What a person reads. */
const read = (text: string): string => text.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')
const page = async (name: string, visitor = operator): Promise<string> =>
  read((await visitor.get(`/console/handlers/${name}`)).text)
const rowOf = async (name: string): Promise<string> => {
  const { text } = await operator.get('/console/handlers')
  return read(new RegExp(`<tr role="row" id="handler-${name}">.*?</tr>`, 's').exec(text)?.[0] ?? '')
}
const handlerOf = async (name: string) =>
  (await scene().api('/v1/handlers')).items.find((each: { name: string }) => each.name === name)

test('a paused handler tells by whom and why, as the API does, and how many deliveries wait and since when', async () => {
  const path = '/console/handlers/crm-sync'
  expect(await operator.send(`${path}/pause`, { reason: 'CRM maintenance' })).toMatchObject({
    status: 303,
    headers: { location: path },
  })
  await scene().send('report.due')
  await scene().send('report.due')
  const { paused } = await handlerOf('crm-sync')
  expect(paused).toMatchObject({ by: 'OPS_TOKEN', reason: 'CRM maintenance' })
  expect(await rowOf('crm-sync')).toMatch(/paused by OPS_TOKEN : CRM maintenance waiting 2 dead 0/)
  expect(await page('crm-sync')).toMatch(
    /Paused by OPS_TOKEN since .*: CRM maintenance .*2 deliveries wait.*oldest due/,
  )
  expect(await page('crm-sync')).toContain('Resume')
  await operator.send(`${path}/resume`)
  expect(await handlerOf('crm-sync')).toMatchObject({ paused: null })
  await scene().settled(0)
  await expect.poll(() => page('crm-sync')).toContain('It keeps up: nothing waits.')
  const { items } = await scene().api('/v1/audit?action=handler.*')
  expect(items.map(({ action }: { action: string }) => action)).toEqual(['handler.resume', 'handler.pause'])
})

test('a handler with dead letters tells their cause, and leads to them and to the events that failed', async () => {
  scene().breakBilling()
  const uid = await scene().send('invoice.paid', { number: 4 })
  await scene().settled(1)
  // Causes may be some seconds old.
  await expect.poll(() => rowOf('billing')).toMatch(/dead cannot charge invoice … *: no connection/)
  const { text } = await operator.get('/console/handlers/billing')
  expect(read(text)).toContain('1 delivery is dead. It is not tried again by itself.')
  expect(text).toContain(`/console/events/${uid}`)
  expect(text).toMatch(/href="[^"]*dead\?handler&#x3D;billing"/)
})

test('the policy in force is told with what is its own and what the default', async () => {
  const { retry, timeout_ms: timeoutMs } = await handlerOf('billing')
  const text = await page('billing')
  expect(text).toContain(`${retry.max_attempts} attempts, waits from 20 ms to 50 ms its own`)
  expect(text).toContain(`${timeoutMs / 1_000} s for each attempt the default`)
})

test('a handler that no code has is not found, and names none', async () => {
  expect((await operator.get('/console/handlers/removed')).status).toBe(404)
  expect((await operator.send('/console/handlers/removed/pause')).status).toBe(404)
})

test('someone who may only read sees no control, and is refused them', async () => {
  const { status, text } = await reader.get('/console/handlers/ledger')
  expect(status).toBe(200)
  expect(text.match(/<form[^>]*handlers/g)).toBeNull()
  for (const verb of ['pause', 'resume'])
    expect((await reader.send(`/console/handlers/ledger/${verb}`)).status).toBe(403)
})

import { beforeAll, describe, expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { API_KEY, startFakeRegistrations } from '../support/fake-registrations.ts'
import { OPS_READ_TOKEN, OPS_TOKEN, shareScene, startScene } from './scene.ts'
import { signedIn, type Visitor } from './visitor.ts'

const STRIPE_SECRETS = ['whsec_newest-secret-of-stripe-0001', 'whsec_older-secret-of-stripe-00002']
const GITHUB_SECRET = 'secret-of-github-which-is-long'
const SPEECH_SECRET = 'secret-of-speech-which-is-long'
const REPLICATE_SECRET = 'whsec_bmlnaHQtc2VjcmV0LW9mLXJlcGxpY2F0ZS0wMDE='

const scene = shareScene(
  {
    SOURCES: 'shop,ai,stripe,github,replicate,speech,repository',
    SOURCE_SPEECH_PROVIDER: 'assemblyai',
    SOURCE_SPEECH_SECRET: SPEECH_SECRET,
    SOURCE_REPOSITORY_PROVIDER: 'github',
    SOURCE_REPOSITORY_SECRET: GITHUB_SECRET,
    SOURCE_REPOSITORY_DEDUPE: 'body',
    SOURCE_STRIPE_SECRET: STRIPE_SECRETS.join(','),
    SOURCE_GITHUB_SECRET: GITHUB_SECRET,
    SOURCE_GITHUB_EXPECT_EVERY: '1h',
    SOURCE_REPLICATE_SECRET: REPLICATE_SECRET,
    SOURCE_SHOP_KEYS: 'order',
    PUBLIC_URL: 'https://hooks.example.com',
  },
  { tuning: { monitorMs: 50 } },
)
let operator: Visitor
let reader: Visitor
beforeAll(async () => {
  operator = await signedIn(scene().opsUrl, OPS_TOKEN)
  reader = await signedIn(scene().opsUrl, OPS_READ_TOKEN)
})

/** As a browser reads it. */
const decoded = (text: string): string =>
  text.replaceAll('&#x2F;', '/').replaceAll('&#x3D;', '=').replaceAll('&quot;', '"')
const get = async (path: string): Promise<string> => decoded((await operator.get(path)).text)
const sourceOf = async (name: string) =>
  (await scene().api('/v1/sources')).items.find((each: { name: string }) => each.name === name)

/** Of the event whose page is there. */
async function bodyOf(location: unknown): Promise<string> {
  const uid = String(location).split('/').at(-1)
  const headers = { authorization: `Bearer ${OPS_TOKEN}` }
  return (await fetch(`${scene().opsUrl}/v1/events/${uid}/body`, { headers })).text()
}

/** The row of a source in the list. */
const rowOf = async (name: string): Promise<string> =>
  new RegExp(`<tr role="row" id="source-${name}">.*?</tr>`, 's').exec(await get('/console/sources'))?.[0] ?? ''

test('a source that has got nothing says so, with its URL and how it is registered at its provider', async () => {
  expect(await rowOf('github')).toContain('no event yet')
  const page = await get('/console/sources/github')
  expect(page).toContain('data-copy="https://hooks.example.com/v1/webhooks/github"')
  expect(page).toContain('the value of SOURCE_GITHUB_SECRET')
  expect(page).toContain('No webhook has come yet')
  expect(page).toMatch(/Expected every<.dt><dd>1 h<.dd><dd class="sub"><code>SOURCE_GITHUB_EXPECT_EVERY/)
})

test('a source whose requests are refused says since when, why, and how that is mended', async () => {
  const headers = {
    'content-type': 'application/json',
    'stripe-signature': `t=${Math.floor(Date.now() / 1_000)},v1=00`,
  }
  for (let sent = 0; sent < 12; sent++)
    await fetch(`${scene().publicUrl}/v1/webhooks/stripe`, { method: 'POST', headers, body: '{}' })
  await expect.poll(async () => (await sourceOf('stripe')).refusing_since).not.toBeNull()
  const { refusing_since: since, refusing_reason: reason } = await sourceOf('stripe')
  expect(await rowOf('stripe')).toContain('signature mismatch for')
  const page = await get('/console/sources/stripe')
  expect(page).toContain(`<time datetime="${since}">`)
  expect(page).toContain(`<b>${reason.replaceAll('_', ' ')}</b>`)
  expect(page).toContain('secret first in SOURCE_STRIPE_SECRET')
  await expect
    .poll(() => get('/console/sources/stripe'))
    .toMatch(
      /signature mismatch<.b>.*?<span class="label">last <.span><time datetime="[^"]*">(\d+ \w+ )?\d\d:\d\d<.time>/s,
    )
  expect(page).toContain('Refused requests are not stored. <bdi>Stripe sends them again by itself')
})

test('a source that is paused says by whom and why, as the API does, and is resumed', async () => {
  expect((await operator.send('/console/sources/ai/pause', { reason: 'the bank is down' })).status).toBe(303)
  const { paused } = await sourceOf('ai')
  expect(paused).toMatchObject({ by: 'OPS_TOKEN', reason: 'the bank is down' })
  expect(await rowOf('ai')).toContain('the bank is down')
  expect(await get('/console/sources/ai')).toContain('Its webhooks are acknowledged and stored; their deliveries wait.')
  await operator.send('/console/sources/ai/resume')
  expect(await sourceOf('ai')).toMatchObject({ paused: null })
  expect((await operator.send('/console/sources/nope/resume')).status).toBe(404)
  const today = new Date().toISOString().slice(0, 10)
  const audit = await get(`/console/audit?action=source.*&until=${today}`)
  expect(audit).toContain('<bdi>ai</bdi></a><p class="small muted"><bdi>the bank is down</bdi>')
  const { items } = await scene().api('/v1/audit?action=source.*')
  expect(items).toMatchObject([
    { action: 'source.resume', outcome: 'failed', target: 'nope' },
    { action: 'source.resume', outcome: 'done', target: 'ai', count: 1, reason: null },
    { action: 'source.pause', outcome: 'done', target: 'ai', reason: 'the bank is down' },
  ])
})

describe('a sample', () => {
  test.each([
    ['shop', 'invoice.paid'],
    ['ai', 'completion.finished'],
    ['stripe', 'invoice.paid'],
    ['github', 'issues.opened'],
  ])('of %s goes to the page of its event, and its handlers run', async (source, type) => {
    const sent = await operator.send(`/console/sources/${source}/sample`, { type })
    expect(sent.status).toBe(303)
    const uid = String(sent.headers.location).split('/').at(-1)
    expect(sent.headers.location).toBe(`/console/events/${uid}`)
    expect((await operator.get(String(sent.headers.location))).status).toBe(200)
    await expect
      .poll(async () => (await scene().api(`/v1/events/${uid}`)).deliveries)
      .toContainEqual(expect.objectContaining({ handler: 'ledger', state: 'succeeded' }))
    expect(await scene().api(`/v1/events/${uid}`)).toMatchObject({
      source,
      type,
      origin: 'sample',
      status: 'accepted',
      id: expect.stringMatching(/^sample_/),
    })
  })

  test('counts neither as a sign of life of its provider nor as a use of its secret, and is in the audit', async () => {
    await operator.send('/console/sources/github/sample', { type: 'ping' })
    expect(await sourceOf('github')).toMatchObject({ last_event_at: null, secrets: [{ verified: 0 }] })
    const { items } = await scene().api('/v1/audit?action=source.sample')
    expect(items[0]).toMatchObject({ actor: 'OPS_TOKEN', outcome: 'done', target: expect.stringContaining('github') })
  })

  test('ends no task, whatever it says of one', async () => {
    await scene().post('/v1/tasks', { source: 'ai', task_id: 'task_1' })
    const data = '{"task_id":"task_1","status":"completed","result":{}}'
    const { headers } = await operator.send('/console/sources/ai/sample', { type: 'task.completed', data })
    const uid = String(headers.location).split('/').at(-1)
    expect(await scene().api(`/v1/events/${uid}`)).toMatchObject({ status: 'accepted', task: 'task_1' })
    expect(await scene().api('/v1/tasks/ai/task_1')).toMatchObject({ status: 'pending' })
  })

  test('makes no later webhook a duplicate, not even one with the same body', async () => {
    const sample = { type: 'transcript.completed', data: '{"transcript_id":"t_1"}' }
    const { headers } = await operator.send('/console/sources/speech/sample', sample)
    const body = await bodyOf(headers.location)
    const sent = { method: 'POST', headers: { 'content-type': 'application/json', 'x-webhook-secret': SPEECH_SECRET } }
    const answer = await fetch(`${scene().publicUrl}/v1/webhooks/speech`, { ...sent, body })
    expect(await answer.json()).toMatchObject({ duplicate: false })
  })

  test('is a sample of its own where the bodies are compared', async () => {
    const send = () => operator.send('/console/sources/repository/sample', { type: 'ping' })
    const [one, other] = [await send(), await send()]
    expect(one.headers.location).toMatch(/^\/console\/events\//)
    expect(one.headers.location).not.toBe(other.headers.location)
  })

  test('has the data that it is given', async () => {
    const data = '{"order":9007199254740993,"note":"by hand"}'
    const { headers } = await operator.send('/console/sources/shop/sample', { type: 'order.created', data })
    expect(await bodyOf(headers.location)).toContain('"note":"by hand"')
  })

  test.each([
    ['without a type', { type: ' ' }],
    ['whose data is no JSON', { type: 'a.b', data: '{' }],
    ['whose data is no object', { type: 'a.b', data: '[1]' }],
  ])('%s is refused', async (_, fields) => {
    expect((await operator.send('/console/sources/shop/sample', fields)).status).toBe(400)
  })

  test('of a type that its provider cannot send is refused, and nothing is stored', async () => {
    const refused = await operator.send('/console/sources/replicate/sample', { type: 'invoice.paid' })
    expect(refused.status).toBe(400)
    expect(decoded(refused.text)).toContain('provider replicate has no type invoice.paid')
    expect((await scene().api('/v1/events?source=replicate')).items).toEqual([])
  })
})

test('what is registered at the provider is shown when an operator asks, and registered, switched off and deleted there', async () => {
  const fake = await startFakeRegistrations('ai')
  const own = await startScene({
    PUBLIC_URL: 'https://hooks.example.com',
    SOURCE_AI_API_URL: fake.url,
    SOURCE_AI_API_KEY: API_KEY,
  })
  const one = await signedIn(own.opsUrl, OPS_TOKEN)
  await one.get('/console/sources/ai')
  expect(fake.received).toEqual([])
  const path = '/console/sources/ai/registrations'
  expect((await one.get(path)).text).toContain('Nothing is registered there.')
  expect(decoded((await one.get(path)).text)).toContain('name="events" required value="*"')
  const made = await one.send(path, { events: 'completion.finished, task.*' })
  expect(made).toMatchObject({ status: 303, headers: { location: `${path}?registered=${fake.hooks[0]?.id}` } })
  expect(fake.hooks).toMatchObject([
    { url: 'https://hooks.example.com/v1/webhooks/ai', active: true, secret: AI_SECRET },
  ])
  const [hook] = fake.hooks
  expect(hook?.events).toContain('completion.finished')
  expect(hook?.events).not.toContain('batch.completed')
  const page = decoded((await one.get(String(made.headers.location))).text)
  expect(page).toContain(`Registered as <bdi>${hook?.id}</bdi>`)
  expect(page).toContain('<b>this source</b>')
  expect(page).not.toContain(AI_SECRET)
  await one.send(`${path}/active`, { id: hook?.id ?? '', active: 'off' })
  expect(fake.hooks).toMatchObject([{ active: false }])
  await one.send(`${path}/delete`, { id: hook?.id ?? '' })
  expect(fake.hooks).toEqual([])
  const { items } = await own.api('/v1/audit?action=registration.*')
  expect(items.map(({ action, target }: Record<string, string>) => `${action} ${target}`)).toEqual([
    `registration.delete ai/${hook?.id}`,
    `registration.update ai/${hook?.id} active=false`,
    `registration.create ai/${hook?.id} events=completion.finished,task.*`,
  ])
})

test('someone who may only read sees no control, and is refused each of them', async () => {
  const page = await reader.get('/console/sources/shop')
  expect(page.status).toBe(200)
  expect(decoded(page.text).match(/<form[^>]*action="\/console\/sources/g)).toBeNull()
  for (const path of ['sample', 'pause', 'resume', 'registrations', 'registrations/delete'])
    expect((await reader.send(`/console/sources/shop/${path}`, { type: 'a.b', id: 'x' })).status).toBe(403)
  expect((await reader.get('/console/sources/shop/registrations')).status).toBe(403)
})

test('no page has a secret in it', async () => {
  const secrets = [
    ...STRIPE_SECRETS,
    AI_SECRET,
    GITHUB_SECRET,
    SPEECH_SECRET,
    REPLICATE_SECRET,
    OPS_TOKEN,
    OPS_READ_TOKEN,
  ]
  const names = ['shop', 'ai', 'stripe', 'github']
  const { items } = await scene().api('/v1/events?limit=20')
  const paths = [
    '',
    '/sources',
    '/handlers',
    '/events',
    '/dead',
    '/replays',
    '/tasks',
    '/audit',
    '/preferences',
    ...names.map((name) => `/sources/${name}`),
    ...['ledger', 'billing', 'orders'].map((name) => `/handlers/${name}`),
    ...items.map(({ uid }: { uid: string }) => `/events/${uid}`),
  ]
  for (const path of paths) {
    const { status, text } = await operator.get(`/console${path}`)
    expect({ path, status, shown: secrets.filter((secret) => decoded(text).includes(secret)) }).toEqual({
      path,
      status: 200,
      shown: [],
    })
  }
})

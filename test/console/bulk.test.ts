import { randomUUID } from 'node:crypto'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { OPS_READ_TOKEN, OPS_TOKEN, shareScene } from './scene.ts'
import { type Answer, ask, OWN_PAGE, signedIn, type Visitor } from './visitor.ts'

const scene = shareScene()
let visitor: Visitor
beforeAll(async () => {
  visitor = await signedIn(scene().opsUrl, OPS_TOKEN)
})

afterEach(async () => {
  await scene().post('/v1/deliveries/discard', { filter: {}, all: true })
})

/** Resolves when so many deliveries are dead, and none is to run. */
const settled = (count: number) =>
  expect
    .poll(async () => {
      const open = ['pending', 'running', 'dead'].map((state) => scene().api(`/v1/deliveries?state=${state}`))
      return (await Promise.all(open)).map(({ items }) => items.length)
    })
    .toEqual([0, 0, count])

type Fields = readonly (readonly [name: string, value: string])[]

const unescaped = (text: string): string =>
  text
    .replaceAll(/&#x([\dA-F]+);/gi, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

/** The form with this action in a page, as a browser would send it. */
function formIn({ text }: Answer, action: string): Fields {
  const [, form = ''] = unescaped(text).split(`action="${action}">`)
  expect(form, `a form to ${action}`).not.toBe('')
  return [...form.slice(0, form.indexOf('</form>')).matchAll(/<input ([^>]*)>/g)].flatMap(([, attributes = '']) => {
    const value = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? ''
    const isChosen = !/type="(radio|checkbox)"/.test(attributes) || attributes.includes(' checked')
    return isChosen ? [[value('name'), value('value')] as const] : []
  })
}

const send = (path: string, fields: Fields, cookie = visitor.cookie): Promise<Answer> =>
  ask(scene().opsUrl, path, {
    form: new URLSearchParams(fields.map(([name, value]) => [name, value])).toString(),
    headers: { cookie, ...OWN_PAGE },
  })

/** Lets invoices die, beside those that are dead, and resolves with their uids. */
async function die(count: number, before = 0): Promise<readonly string[]> {
  scene().breakBilling()
  const uids: string[] = []
  for (let number = 0; number < count; number++) uids.push(await scene().send('invoice.paid', { number }))
  await settled(before + count)
  scene().mendBilling()
  return uids
}

const replaysNow = async (): Promise<readonly { id: string; matched: number; state: string }[]> =>
  (await scene().api('/v1/replays')).items
const ended = (id: string) => expect.poll(async () => (await scene().api(`/v1/replays/${id}`)).state).toBe('done')

/** The page of the dead letters, once it knows of so many: all pages share one count, which may be a second old. */
async function deadPage(count: number): Promise<Answer> {
  const read = () => visitor.get('/console/dead')
  const heading = count === 0 ? '<h1>No dead letters</h1>' : `<h1>${count} dead letters, 1 cause</h1>`
  await expect.poll(async () => (await read()).text, { timeout: 5_000 }).toContain(heading)
  return read()
}

/** The link to the page that asks before the group of so many is replayed or discarded. */
async function groupUrl(what: 'replay' | 'discard', count: number): Promise<string> {
  const [, url] = new RegExp(`href="(/console/${what}\\?[^"]*)"`).exec(unescaped((await deadPage(count)).text)) ?? []
  return url ?? expect.fail(`no link to ${what}`)
}

describe('the replay of a group of dead letters', () => {
  test('asks with the number that the list shows, is frozen at that moment, and is one replay however often the form is sent', async () => {
    await die(3)
    const url = await groupUrl('replay', 3)
    const page = await visitor.get(url)
    expect(page.text).toContain('Replay 3 dead letters to <bdi>billing</bdi>?')
    expect(page.text).toContain('What has succeeded is not run again')
    const form = formIn(page, '/console/replay')
    await die(1, 3)
    const [one, other] = await Promise.all([send('/console/replay', form), send('/console/replay', form)])
    expect(one.status).toBe(303)
    const path = one.headers.location ?? ''
    expect(path).toMatch(/^\/console\/replays\/[\da-f-]{36}$/)
    expect(other.headers.location).toBe(path)
    const id = path.split('/').at(-1) ?? ''
    await ended(id)
    expect((await send('/console/replay', form)).headers.location).toBe(path)
    expect(await replaysNow()).toMatchObject([{ id, matched: 3 }])
    await settled(1)
    const progress = await visitor.get(path)
    expect(progress.text).toContain('3 of 3')
    expect(progress.text).not.toContain('hx-get')
    const audited = await scene().api('/v1/audit?action=replay.create')
    expect(audited.items[0]).toMatchObject({ count: 3, outcome: 'done', target: expect.stringContaining(id) })
  })

  test('says so when the group is empty by then, and who took it', async () => {
    await die(2)
    const url = await groupUrl('replay', 2)
    const { headers } = await send('/console/replay', formIn(await visitor.get(url), '/console/replay'))
    await ended(headers.location?.split('/').at(-1) ?? '')
    await settled(0)
    const page = await visitor.get(url)
    expect(page.text).toContain('Nothing to replay')
    expect(unescaped(page.text)).toContain(`href="${headers.location}"`)
    await deadPage(0)
  })

  test('begins with one as a probe, whose success at once offers the rest, also if they were counted a moment before', async () => {
    await die(3)
    const form = formIn(await deadPage(3), '/console/dead/probe')
    await visitor.get('/console/part/dead')
    const [one, other] = await Promise.all([send('/console/dead/probe', form), send('/console/dead/probe', form)])
    expect(one.status).toBe(303)
    expect(other.headers.location).toBe(one.headers.location)
    const { search } = new URL(one.headers.location ?? '', scene().opsUrl)
    const seen = async (): Promise<string> => (await visitor.get(`/console/part/dead${search}`)).text
    const page = await vi.waitUntil(async () => /The probe .* succeeded at[^]*/.exec(await seen())?.[0])
    expect(page).toContain('Replay the rest, 2')
  })

  test.each([
    [
      'no process has the handler',
      'handler=removed&cause=000000000000',
      'No running process has the handler <bdi>removed</bdi>',
    ],
    ['the source is not configured', 'q=outcome:dead+source:gone', 'The source <bdi>gone</bdi> is not configured'],
  ])('cannot be asked for if %s', async (_, query, words) => {
    const page = await visitor.get(`/console/replay?${query}`)
    expect(page.status).toBe(200)
    expect(page.text).toContain(words)
    expect(page.text).not.toContain('action="/console/replay"')
  })
})

test('what is pending is due already: its replay is not asked for, and its page says which pause holds it', async () => {
  await visitor.send('/console/handlers/billing/pause')
  await scene().send('invoice.paid', { number: 1 })
  expect((await visitor.get('/console/events?q=outcome%3Apending')).text).not.toContain('Replay all')
  const page = await visitor.get('/console/replay?q=outcome:pending')
  expect(page.text).toContain('They are due already')
  expect(page.text).toContain('href="/console/handlers/billing"')
  await visitor.send('/console/handlers/billing/resume')
  await settled(0)
})

describe('a selection of events', () => {
  test('is replayed once however often the form is sent, and tells which could not be', async () => {
    const [uid = ''] = await die(1)
    const gone = newUid()
    const page = await visitor.get(`/console/replay?uid=${uid}&uid=${gone}`)
    expect(page.text).toContain('Replay 1 selected event?')
    expect(page.text).toContain('1 selected event is not here any more')
    const form = formIn(page, '/console/replay/selected')
    expect(form).toContainEqual(['which', 'dead'])
    const answers = await Promise.all([form, form].map((fields) => send('/console/replay/selected', fields)))
    const paths = answers.map(({ headers }) => headers.location ?? '')
    expect(paths[0]).toBe(paths[1])
    await settled(0)
    const result = await visitor.get(paths[0] ?? '')
    expect(result.text).toContain('Replayed 1 of 2 events')
    expect(result.text).toContain('It is not here')
    const { deliveries } = await scene().api(`/v1/events/${uid}`)
    const times = Object.fromEntries(
      (deliveries as { handler: string; history: unknown[] }[]).map(({ handler, history }) => [
        handler,
        history.length,
      ]),
    )
    expect(times).toEqual({ billing: 4, ledger: 1 })
  })

  test('has a bound, and only uids', async () => {
    const many = Array.from({ length: 31 }, () => `uid=${newUid()}`).join('&')
    for (const query of [many, 'uid=x', `uid=${randomUUID()}`])
      expect((await visitor.get(`/console/replay?${query}`)).status, query).toBe(400)
  })

  test.each(['replay', 'discard'])('never means all there is: %s', async (what) => {
    const [uid = ''] = await die(1)
    const list = unescaped((await visitor.get('/console/dead/list')).text)
    expect(list).toContain('name="of" value="selection"')
    expect(list).toContain(`name="uid" value="${uid}:billing"`)
    expect((await visitor.get(`/console/${what}?of=selection&handler=billing`)).status).toBe(400)
    const csrf = ['csrf', visitor.csrf] as const
    expect((await send(`/console/${what}`, [csrf, ['uid', uid]])).status).toBe(400)
    expect((await send(`/console/${what}/selected`, [csrf])).status).toBe(400)
    await settled(1)
  })

  test('of dead letters means each with its handler alone, leads back to its list, and is audited event by event', async () => {
    const [uid = '', other = ''] = await die(2)
    const picked = `of=selection&view=list&source=shop&uid=${uid}:ledger&uid=${uid}:billing&uid=${other}:ledger`
    const page = await visitor.get(`/console/replay?${picked}`)
    expect(page.text).toContain('Replay 1 selected dead letter?')
    expect(unescaped(page.text)).toContain('href="/console/dead/list?source=shop"')
    await send('/console/replay/selected', formIn(page, '/console/replay/selected'))
    await settled(1)
    const audited = await scene().api('/v1/audit?action=event.replay')
    expect(audited.items[0]).toMatchObject({ count: 1, outcome: 'done', target: `${uid} handler=billing state=dead` })
  })

  test('is discarded without what else is dead', async () => {
    const [uid = ''] = await die(2)
    const page = await visitor.get(`/console/discard?uid=${uid}&handler=billing`)
    expect(page.text).toContain('Discard 1 dead letter')
    const answer = await send('/console/discard/selected', formIn(page, '/console/discard/selected'))
    expect(answer.headers.location).toBe('/console/dead?discarded=1')
    expect((await visitor.get('/console/dead?discarded=1')).text).toContain('1 dead letter discarded.')
    await settled(1)
  })
})

describe('a discard of all that match', () => {
  test('takes what the page has counted', async () => {
    await die(2)
    const page = await visitor.get(await groupUrl('discard', 2))
    expect(page.text).toContain('Discard 2 dead letters of')
    await die(1, 2)
    const answer = await send('/console/discard', formIn(page, '/console/discard'))
    expect(answer.headers.location).toBe('/console/dead?discarded=2')
    await settled(1)
  })

  test.each(['data.number:1', ':1}'])('takes those of events that contain what is searched for: %s', async (word) => {
    await die(2)
    const words = `outcome:dead ${word}`
    const list = await visitor.get(`/console/events?q=${encodeURIComponent(words)}`)
    const [, url] = /href="(\/console\/discard\?[^"]*)"/.exec(unescaped(list.text)) ?? []
    const page = await visitor.get(url ?? '')
    expect(page.text).toContain('Discard the dead letters of 1 event?')
    const answer = await send('/console/discard', formIn(page, '/console/discard'))
    expect(answer.headers.location).toBe('/console/dead?discarded=1')
    await settled(1)
    const { items } = await scene().api('/v1/audit?action=delivery.discard')
    expect(items[0]).toMatchObject({ count: 1, outcome: 'done' })
    expect(items[0].target).toMatch(/(match|contains)=/)
  })

  test.each(['bicycle', 'data.number:1', 'outcome:succeeded'])(
    'refuses what dead letters are not found by: %s',
    async (q) => {
      const answer = await visitor.get(`/console/discard?q=${encodeURIComponent(q)}`)
      expect(answer).toMatchObject({ status: 400, headers: { 'content-type': 'text/html; charset=utf-8' } })
    },
  )
})

describe('one who may only read', () => {
  const FORMS = ['replay', 'replay/selected', 'discard', 'discard/selected', 'dead/probe', 'replays/x/cancel']

  test('sees dead letters and replays without a control, and is refused', async () => {
    const reader = await signedIn(scene().opsUrl, OPS_READ_TOKEN)
    const [uid = ''] = await die(1)
    const [job] = await replaysNow()
    const pages = [
      'dead',
      'dead/list',
      'replays',
      `replays/${job?.id}`,
      'replay?q=outcome:dead',
      `replay?uid=${uid}`,
      'discard?q=',
    ]
    for (const path of pages) {
      const { status, text } = await reader.get(`/console/${path}`)
      expect(status, path).toBe(200)
      expect(text, path).not.toMatch(/<button class="btn|type="checkbox" name="uid"/)
    }
    for (const path of FORMS) expect((await reader.send(`/console/${path}`, { uid })).status, path).toBe(403)
    await settled(1)
  })

  test.each(FORMS)('gets 409, as everybody does, for a form of %s without its hidden field', async (path) => {
    expect((await send(`/console/${path}`, [['q', 'outcome:dead']])).status).toBe(409)
  })
})

test('the rail counts dead letters and not what needs no hand', async () => {
  await die(2)
  await expect
    .poll(async () => (await visitor.get('/console/tasks')).text, { timeout: 10_000 })
    .toMatch(/Dead letters <span id="n-dead" class="n bad">2<\/span>/)
  expect((await visitor.get('/console/tasks')).text).toContain('Tasks <span id="n-tasks"></span></a>')
})

import { describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { OPS_READ_TOKEN, OPS_TOKEN, shareScene } from './scene.ts'
import { signedIn } from './visitor.ts'

const scene = shareScene()
const page = async (uid: string, query = '') =>
  (await signedIn(scene().opsUrl, OPS_TOKEN)).get(`/console/events/${uid}${query}`)

describe('the page of an event', () => {
  test('says what became of each delivery, and offers to replay the one that failed and to discard it, but not to readers', async () => {
    scene().breakBilling()
    const uid = await scene().send('invoice.paid', { number: 7, customer: 'cus_7' })
    await scene().settled(1)
    const reader = await signedIn(scene().opsUrl, OPS_READ_TOKEN)
    const operator = await signedIn(scene().opsUrl, OPS_TOKEN)
    const [read, text] = [
      await reader.get(`/console/events/${uid}`),
      (await operator.get(`/console/events/${uid}`)).text,
    ]
    for (const shown of [read.text, text]) {
      expect(shown).toContain('<bdi>billing</bdi></a></b> tried 3 times in')
      expect(shown).toContain('Received from <bdi>127.0.0.1</bdi>')
      expect(shown).toMatch(/Verified by secret 1 of 1[^]*Stored, and then acknowledged[^]*billing<\/bdi>, attempt 1/)
      expect(shown).toContain('<bdi>billing</bdi>, attempt 3, failed after')
      expect(shown).toContain('because of <b><bdi>Error: connect ECONNREFUSED ledger-db:5432</bdi></b>')
      expect(shown).toMatch(/<span class="own"> {4}<bdi>at .*test&#x2F;console&#x2F;handlers&#x2F;/)
      expect(shown).not.toContain('hx-get=')
    }
    expect(read.text).not.toMatch(/<form[^>]*events/)
    expect(text).toContain('value="billing"><button class="btn go" type="submit" data-key="r">')
    expect((await reader.send(`/console/events/${uid}/discard`)).status).toBe(403)

    const discarded = await operator.send(`/console/events/${uid}/discard`)
    expect([discarded.status, discarded.headers.location]).toEqual([303, `/console/events/${uid}`])
    expect((await operator.get(`/console/events/${uid}`)).text).toContain('<bdi>billing</bdi></a></b> is discarded')
    const { items } = await scene().api('/v1/audit?action=event.discard', {
      headers: { authorization: `Bearer ${OPS_TOKEN}` },
    })
    expect(items).toMatchObject([{ action: 'event.discard', target: `${uid} `.trim(), count: 1, outcome: 'done' }])
    scene().mendBilling()
  })

  test('follows a delivery that goes on, and says why one does not run: it is paused, or waits for its next attempt', async () => {
    await scene().post('/v1/handlers/crm-sync/pause', { reason: 'until <six>' }, { 'x-holdfast-user': 'ana' })
    const uid = await scene().send('report.due')
    // Until then the other handler runs.
    const slowly = 'hx-trigger="load delay:10s, again" hx-target="#story" hx-swap="innerMorph"'
    await expect.poll(async () => (await page(uid)).text.includes(slowly)).toBe(true)
    const { text } = await page(uid)
    expect(text).toContain('crm-sync</bdi></a></b> waits: it is paused by <bdi>ana</bdi>')
    expect(text).toContain('“<bdi>until &lt;six&gt;</bdi>”')
    await scene().post('/v1/handlers/crm-sync/resume')
  })

  test('leads to the events beside it in the search that it was reached by', async () => {
    const uids = []
    for (const number of [1, 2, 3]) uids.push(await scene().send('parcel.sent', { number }))
    const { text } = await page(uids[1] ?? '', '?q=type%3Aparcel.sent')
    expect(text).toContain(
      `<a rel="prev" href="&#x2F;console&#x2F;events&#x2F;${uids[2]}?q&#x3D;type%3Aparcel.sent">`.replaceAll(
        '&#x2F;',
        '/',
      ),
    )
    expect(text).toContain(`<a rel="next" href="/console/events/${uids[0]}?q`)
    expect((await page(uids[1] ?? '')).text).not.toContain('rel="next"')
  })

  test('shows the event that has its id beside one in conflict, and what differs', async () => {
    const first = await scene().send('order.created', { stock: true, order: 6 }, 'msg_same')
    const { text } = await page(await scene().send('order.created', { stock: true, order: 7 }, 'msg_same'))
    expect(text).toContain(`<a href="/console/events/${first}">`)
    expect(text).toContain('<del><span class="hide">Was: </span>− <bdi>data.order</bdi>: <bdi>6</bdi></del>')
    expect(text).toContain('<ins><span class="hide">Is: </span>+ <bdi>data.order</bdi>: <bdi>7</bdi></ins>')
  })

  test('names the events in conflict with one, compares the payload of the newest with its own, and of another that is asked for', async () => {
    const first = await scene().send('order.created', { order: 1 }, 'msg_many')
    const [second, third] = [
      await scene().send('order.created', { order: 2 }, 'msg_many'),
      await scene().send('order.created', { order: 3 }, 'msg_many'),
    ]
    const { text } = await page(first)
    for (const uid of [second, third]) expect(text).toContain(`conflict: <a href="/console/events/${uid}">`)
    expect(text).toContain('+ <bdi>data.order</bdi>: <bdi>3</bdi>')
    expect(text.replaceAll('&#x2F;', '/').replaceAll('&#x3D;', '=')).toContain(
      `href="/console/events/${first}?beside=${second}#beside">compare</a>`,
    )
    expect((await page(first, `?beside=${second}`)).text).toContain('+ <bdi>data.order</bdi>: <bdi>2</bdi>')
    const { beside } = await scene().api(`/v1/events/${second}`)
    expect(beside).toMatchObject([
      { relation: 'has_id', uid: first, status: 'accepted', origin: 'webhook' },
      { relation: 'same_id', uid: third, status: 'conflict' },
    ])
  })

  test('tells in its story how often it was sent again, when last and from where', async () => {
    const send = () => scene().send('order.created', { again: true }, 'msg_again', '2026-11-27T03:00:00Z')
    const uid = await send()
    expect((await page(uid)).text).not.toContain('Sent again')
    expect(await send()).toBe(uid)
    expect((await page(uid)).text).toContain('Sent again from <bdi>127.0.0.1</bdi>')
    await send()
    expect((await page(uid)).text).toContain('Sent again 2 times, the last time from <bdi>127.0.0.1</bdi>')
    const { repeats } = await scene().api(`/v1/events/${uid}`)
    expect(repeats).toEqual({ times: 2, last_at: expect.any(String), last_from: '127.0.0.1' })
  })

  test('answers 404 for an event that is not here, whatever its uid is', async () => {
    for (const uid of ['01a21e73-f82c-721e-bd96-b0f62aead455', '..%2F..', '%00', 'x'.repeat(500)]) {
      const visitor = await signedIn(scene().opsUrl, OPS_TOKEN)
      for (const path of [`/console/events/${uid}`, `/console/events/${uid}/bytes`, `/console/part/events/${uid}`])
        expect([path, (await visitor.get(path)).status]).toEqual([path, 404])
    }
  })
})

test('the exact bytes of an event are a file that no browser shows', async () => {
  const uid = await scene().send('<script>.."; filename=x.html', { html: '<script>alert(1)</script>' })
  const visitor = await signedIn(scene().opsUrl, OPS_READ_TOKEN)
  const { status, headers, text } = await visitor.get(`/console/events/${uid}/bytes`)
  expect(status).toBe(200)
  expect(JSON.parse(text)).toMatchObject({ data: { html: '<script>alert(1)</script>' } })
  expect(headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${uid}.bin"`,
    'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  })
})

test('a superseded event and the one that ended its task lead to each other', async () => {
  await scene().post('/v1/tasks', { source: 'ai', task_id: 'task_9' })
  const ends = async (status: string): Promise<string> =>
    (await post(scene().publicUrl, signedEvent(`task.${status}`, { task_id: 'task_9', status }))).uid
  const first = await ends('completed')
  const second = await ends('failed')
  const [winner, loser] = [(await page(first)).text, (await page(second)).text]
  expect(winner).toContain(`superseded: <a href="/console/events/${second}">`)
  expect(winner).toContain('The task ended: completed, by webhook')
  expect(loser).toContain('Stored: superseded')
  expect(loser).toContain(`<a href="/console/events/${first}">`)
  expect(loser).toContain('− <bdi>data.status</bdi>: "<bdi>completed</bdi>"')
  expect(loser).toContain('+ <bdi>data.status</bdi>: "<bdi>failed</bdi>"')
})

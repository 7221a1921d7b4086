import type { ServerResponse } from 'node:http'
import { forward } from 'holdfast'
import { runHandler } from 'holdfast/testing'
import { describe, expect, test } from 'vitest'
import { receiverThat, status, thing } from './receiver.ts'

describe('the answer of the service', () => {
  test('is kept with the attempt, whether it has succeeded or not: from where, status, time and the text of its body', async () => {
    const { receiver, send } = await receiverThat((response, { headers }) => {
      const isFirst = headers['holdfast-attempt'] === '1'
      const code = isFirst ? 202 : 503
      setTimeout(
        () => response.writeHead(code).end(isFirst ? '{\r\n  "queued": "größe"\n}\n' : 'out of\u0007 stock'),
        20,
      )
    })
    const from = `http://127.0.0.1:${receiver.port}`
    const done = await send()
    expect(done).toEqual({
      outcome: 'succeeded',
      answer: { from, status: 202, durationMs: expect.any(Number), text: '{ "queued": "größe" }' },
      logs: [],
    })
    expect(done.answer?.durationMs).toBeGreaterThanOrEqual(19)
    const failed = await send(thing(), { attempt: 2 })
    expect(failed).toMatchObject({ outcome: 'failed', answer: { from, status: 503, text: 'out of stock' } })
    expect(failed).toMatchObject({ error: `${from} answered 503: out of stock`, errorDetail: { name: 'Error' } })
    // The place in Holdfast's own code says nothing.
    expect(failed.errorDetail?.stack?.join() ?? '').not.toContain('/src/')
  })

  test.each([
    [{ error: 'Conflict', message: 'order 8 is closed', statusCode: 409 }, 'order 8 is closed'],
    [{ title: 'Conflict', detail: 'order 8 is closed' }, 'order 8 is closed'],
    [{ error: { code: 8, message: 'order 8 is closed' } }, 'order 8 is closed'],
    [{ error: null, message: ' ', code: 8 }, '{"error":null,"message":" ","code":8}'],
    [['no object'], '["no object"]'],
  ])('that is JSON, as %j, is kept whole, and the error has its reason', async (body, reason) => {
    const { send } = await receiverThat(status(409, {}, JSON.stringify(body)))
    const { answer, error } = await send()
    expect(answer?.text).toBe(JSON.stringify(body))
    expect(error).toMatch(/ answered 409: /)
    expect(error?.split(' answered 409: ')[1]).toBe(reason)
  })

  test('has no secret that is spelt in the escapes of JSON, in its text, in the error, or where a later attempt is asked for', async () => {
    const body = String.raw`{"message":"no \u006dy\/own-\u0022token of gr\u00f6\u00dfe \"\u0022\\u0041\u0000"}`
    const { send } = await receiverThat(
      (response, { headers }) =>
        response.writeHead(500, headers['holdfast-attempt'] === '1' ? {} : { 'retry-after': '1' }).end(body),
      { headers: { 'x-key': 'my/own-"token' } },
    )
    const { answer, error } = await send()
    expect(answer?.text).toBe(String.raw`{"message":"no [redacted] of größe \"\"\\u0041\u0000"}`)
    expect(error).toMatch(/ answered 500: no \[redacted\] of größe ""\\u0041$/)
    expect((await send(thing(), { attempt: 2 })).error).toMatch(
      /; .* answered 500: no \[redacted\] of größe ""\\u0041$/,
    )
  })

  test('that is a page, as of a proxy, is kept as its words', async () => {
    const page = `<!DOCTYPE html><head><title>502 Bad Gateway</title><style>body { color: red }</style></head>
      <body><!-- padding --><center><h1>502 Bad Gateway</h1></center><script>go()</script><p>nginx`
    const { send } = await receiverThat(status(502, { 'content-type': 'text/html; charset=utf-8' }, page))
    expect((await send()).answer?.text).toBe('502 Bad Gateway 502 Bad Gateway nginx')
  })

  test('that is a page has no secret that is spelt in character references, and no references in its words', async () => {
    const page =
      '<html><body>It&#39;s &lt;b&gt; &amp;lt; 1&#x1F600;, no my&#x2F;own&#45;token&#61; and my/own-token=</body>'
    const { send } = await receiverThat(status(403, { 'content-type': 'text/html' }, page), {
      headers: { authorization: 'Bearer my/own-token=' },
    })
    const { answer, error } = await send()
    expect(answer?.text).toBe("It's <b> &lt; 1😀, no [redacted] and [redacted]")
    expect(error).toMatch(/ answered 403: It's <b> &lt; 1😀, no \[redacted\] and \[redacted\]$/)
  })

  test('that is JSON under the content type of a page, as PHP sends it, has no secret in escapes either', async () => {
    const { send } = await receiverThat(
      status(403, { 'content-type': 'text/html; charset=UTF-8' }, String.raw`{"message":"no my\/own-token"}`),
      { headers: { 'x-key': 'my/own-token' } },
    )
    const { answer, error } = await send()
    expect(answer?.text).toBe('{"message":"no [redacted]"}')
    expect(error).toMatch(/ answered 403: no \[redacted\]$/)
  })

  test('has no password that is sent by HTTP Basic, which a service decodes', async () => {
    const authorization = `Basic ${Buffer.from('shop:my own:password').toString('base64')}`
    const { send } = await receiverThat(status(401, {}, `shop with my own:password, ${authorization}`), {
      headers: { authorization },
    })
    expect((await send()).answer?.text).toBe('shop with [redacted], [redacted]')
  })

  test.each([
    ['empty', ''],
    ['white', ' \n '],
    ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')],
    ['random', Buffer.from('f3a9c1ffe8b0d4fe9c2080fdf1ee', 'hex')],
  ])('has no text if its body is %s', async (_what, body) => {
    const { send } = await receiverThat((response) => response.end(body))
    expect((await send()).answer).toEqual({
      from: expect.any(String),
      status: 200,
      durationMs: expect.any(Number),
    })
  })

  test('is kept by its first 500 characters, without half of one, and an error has 200 of them', async () => {
    const text = `${'x'.repeat(199)}😀${'y'.repeat(298)}😀${'z'.repeat(60_000)}`
    const { send } = await receiverThat((response, { headers }) =>
      response.writeHead(headers['holdfast-attempt'] === '1' ? 200 : 500).end(text),
    )
    expect((await send()).answer?.text).toBe(`${'x'.repeat(199)}😀${'y'.repeat(298)}…`)
    expect((await send(thing(), { attempt: 2 })).error).toMatch(/: x{199}…$/)
  })

  test('to a handler that asks for a later attempt stands in its error, so that one sees why', async () => {
    const { receiver, send } = await receiverThat(status(429, { 'retry-after': '7' }, 'busy'))
    expect(await send()).toMatchObject({
      error: `the handler asked to be run again after 7000 ms; http://127.0.0.1:${receiver.port} answered 429: busy`,
      answer: { status: 429, text: 'busy' },
    })
  })

  test('reaches the attempt also from a handler that calls `forward` by its own, with a copy of the context', async () => {
    const { receiver } = await receiverThat(status(204))
    const inner = forward({ url: receiver.url, allowPrivate: true })
    const run = await runHandler((event, context) => inner(event, { ...context }), thing())
    expect(run).toMatchObject({ outcome: 'succeeded', answer: { status: 204 } })
  })

  test('is absent if none came', async () => {
    const { send } = await receiverThat((_response, _received, { socket }) => socket.resetAndDestroy())
    expect(await send()).not.toHaveProperty('answer')
  })

  test.each([
    ['as it is', 'my-own-token-of-32-characters'],
    [
      'in escapes of JSON',
      'my-own-token-of-32-characters'.replaceAll(/./g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
    ],
  ])(
    'has no part of a secret either, where only its beginning is read and the secret stands there %s',
    async (_how, spelt) => {
      const { send } = await receiverThat(
        (response) => response.end(`begun${spelt.padStart(4_096 - 'begun'.length + 7)}`),
        {
          headers: { authorization: 'Bearer my-own-token-of-32-characters' },
        },
      )
      expect((await send()).answer?.text).toBe('begun')
    },
  )

  test.each([
    ['breaks', (response: ServerResponse) => response.destroy()],
    ['does not end', () => {}],
  ])('has no part of a secret either, where its body %s in the middle of one', async (_what, end) => {
    const { send } = await receiverThat(
      (response) => response.writeHead(200).write(`begun${' '.repeat(200)}my-own-token-of-32-ch`, () => end(response)),
      { headers: { authorization: 'Bearer my-own-token-of-32-characters' } },
    )
    expect((await send()).answer).toMatchObject({ status: 200, text: 'begun' })
  })

  test('has no token of the path to which the event was posted', async () => {
    const { receiver } = await receiverThat((response, { path = '' }) => response.writeHead(404).end(`No ${path} here`))
    const handler = forward({
      url: `${new URL(receiver.url).origin}/services/T0123/s3cr3tT0kenOfAHook`,
      allowPrivate: true,
    })
    const { answer, error } = await runHandler(handler, thing())
    expect(answer?.text).toBe('No /services/T0123/[redacted] here')
    expect(error).toMatch(/ answered 404: No \/services\/T0123\/\[redacted\] here$/)
  })
})

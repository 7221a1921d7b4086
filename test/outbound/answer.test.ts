import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { callerOf, startServer } from './loopback-server.ts'

const request = { method: 'GET', path: '/' } as const

/** What is done with one answer, and which of the caller's connections it came over. */
async function answered(answer: RequestListener, maxAnswerBytes = 1_000) {
  const server = await startServer(answer)
  return callerOf(server.url, { maxAnswerBytes }).call(request)
}

describe('an answer to an outbound call', () => {
  test('is given with its status, headers and bytes, whatever the status', async () => {
    const headers = { 'x-twice': ['a', 'b'], 'retry-after': '3' }
    const answer = await answered((_, response) => response.writeHead(429, headers).end('{"a":1}'))
    expect(answer).toMatchObject({ ok: true, status: 429, headers: { 'x-twice': 'a, b', 'retry-after': '3' } })
    expect(answer.ok && answer.body.toString()).toBe('{"a":1}')
  })

  test.each([301, 302, 303, 307, 308])('of %i is not followed', async (status) => {
    const target = await startServer()
    const answer = await answered((_, response) => response.writeHead(status, { location: target.url }).end())
    expect(answer).toMatchObject({ ok: true, status, headers: { location: target.url } })
    expect(target.connections()).toBe(0)
  })

  test('may be exactly as long as its bound', async () => {
    const exact = await answered((_, response) => response.end('x'.repeat(1_000)))
    expect(exact.ok && exact.body.length).toBe(1_000)
  })

  test.each([
    ['announced', (body: Buffer) => ({ 'content-length': body.length })],
    ['not announced', () => ({})],
  ])('in many pieces is put together in order, its length %s', async (_, headersOf) => {
    const body = Buffer.from(Array.from({ length: 60_000 }, (_each, n) => `${n};`).join(''))
    const answer = await answered((_request, response) => {
      response.writeHead(200, headersOf(body))
      for (let at = 0; at < body.length; at += 10_007) response.write(body.subarray(at, at + 10_007))
      response.end()
    }, body.length)
    expect(answer.ok && answer.body.equals(body)).toBe(true)
    // So that the threads which read and keep it need no copy.
    expect(answer.ok && answer.body.buffer).toBeInstanceOf(SharedArrayBuffer)
  })

  test.each([
    ['as it announced', (_, response) => response.end('x'.repeat(1_001))],
    ['in chunks', (_, response) => void response.write('x'.repeat(600), () => response.end('x'.repeat(600)))],
  ] satisfies [string, RequestListener][])('that is longer than its bound, %s, is cut off', async (_, answer) => {
    const message = 'The answer is longer than 1000 bytes.'
    expect(await answered(answer)).toEqual({ ok: false, failure: 'too_large', message })
  })

  test('with too many headers is cut off', async () => {
    const headers = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`x-${n}`, 'x'.repeat(1_000)]))
    const answer = await answered((_, response) => response.writeHead(200, headers).end())
    expect(answer).toMatchObject({ ok: false, failure: 'too_large' })
  })

  test('that is compressed counts as broken, and one with Content-Encoding: identity does not', async () => {
    const zipped = (_: unknown, response: Parameters<RequestListener>[1]) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}'))
    expect(await answered(zipped)).toMatchObject({ ok: false, failure: 'broken' })
    const plain = await answered((_, response) => response.writeHead(200, { 'content-encoding': 'Identity' }).end('{}'))
    expect(plain.ok).toBe(true)
  })

  test('that is not HTTP counts as broken, and is not quoted', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-sk-secret\r\n'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    const answer = await callerOf(`http://127.0.0.1:${port}`).call(request)
    server.close()
    expect(answer).toMatchObject({ ok: false, failure: 'broken' })
    expect(JSON.stringify(answer)).not.toContain('SSH')
  })

  test('that was not read to its end leaves the caller fit for the next call', async () => {
    let isLong = true
    const server = await startServer((_, response) => response.end(isLong ? 'x'.repeat(1_001) : '{}'))
    const { call } = callerOf(server.url, { maxAnswerBytes: 1_000 })
    expect((await call(request)).ok).toBe(false)
    isLong = false
    expect((await call(request)).ok).toBe(true)
    expect((await call(request)).ok).toBe(true)
    expect(server.connections()).toBe(2)
  })
})

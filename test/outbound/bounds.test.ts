import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { MAX_OPEN_CALLS } from '../../src/domain/limits.ts'
import { failureOf } from '../../src/outbound/call-fault.ts'
import { callerOf, startServer } from './loopback-server.ts'

const request = { method: 'GET', path: '/' } as const
const silent = (): void => {}

describe('an outbound call', () => {
  test('that is never answered ends in time', async () => {
    const server = await startServer(silent)
    const answer = await callerOf(server.url, { timeouts: { connectMs: 100, totalMs: 200 } }).call(request)
    expect(answer).toEqual({ ok: false, failure: 'timeout', message: 'No whole answer came within 200 ms.' })
  })

  test('whose answer stalls in its body ends in time', async () => {
    const server = await startServer((_, response) => response.writeHead(200, { 'content-length': 10 }).write('{'))
    const answer = await callerOf(server.url, { timeouts: { connectMs: 100, totalMs: 200 } }).call(request)
    expect(answer).toMatchObject({ ok: false, failure: 'timeout' })
  })

  test('whose answer trickles in without end ends in time', async () => {
    const server = await startServer((_, response) => {
      const trickle = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(trickle))
    })
    const answer = await callerOf(server.url, { timeouts: { connectMs: 100, totalMs: 200 } }).call(request)
    expect(answer).toMatchObject({ ok: false, failure: 'timeout' })
  })

  test('that gets no connection in time counts as not sent', async () => {
    const { call } = callerOf('http://api.example.com', {
      lookup: silent,
      timeouts: { connectMs: 100, totalMs: 9_000 },
    })
    const message = 'No connection to api.example.com could be made (UND_ERR_CONNECT_TIMEOUT).'
    expect(await call(request)).toEqual({ ok: false, failure: 'unreachable', message })
  })

  test('that still has no connection when its time is over ends', async () => {
    const { call } = callerOf('http://api.example.com', {
      lookup: silent,
      timeouts: { connectMs: 9_000, totalMs: 100 },
    })
    expect(await call(request)).toMatchObject({ ok: false, failure: 'timeout' })
  })

  test('to a port on which no server listens counts as not sent', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const message = 'No connection to 127.0.0.1 could be made (ECONNREFUSED).'
    const answer = await callerOf(`http://127.0.0.1:${port}`).call(request)
    expect(answer).toEqual({ ok: false, failure: 'unreachable', message })
  })

  test('by https to a server without TLS counts as not sent', async () => {
    const server = await startServer()
    const answer = await callerOf(server.url.replace('http:', 'https:')).call(request)
    expect(answer).toMatchObject({ ok: false, failure: 'unreachable' })
    expect(server.requests).toHaveLength(0)
  })

  test('can be cancelled before and while it is made', async () => {
    const server = await startServer(silent)
    const { call } = callerOf(server.url)
    expect(await call(request, AbortSignal.abort())).toMatchObject({ ok: false, failure: 'unreachable' })
    expect(server.connections()).toBe(0)
    const controller = new AbortController()
    const answer = call(request, controller.signal)
    controller.abort(new Error('sk-reason'))
    expect(await answer).toEqual({ ok: false, failure: 'broken', message: 'The call was given up.' })
  })

  test('beyond the number of open calls is not made until one of them has ended', async () => {
    const server = await startServer(silent)
    const { call } = callerOf(server.url)
    const controller = new AbortController()
    const open = Array.from({ length: MAX_OPEN_CALLS }, () => call(request, controller.signal))
    expect(await call(request)).toMatchObject({ ok: false, failure: 'unreachable' })
    controller.abort()
    for (const answer of await Promise.all(open)) expect(answer).toMatchObject({ ok: false, failure: 'broken' })
    const next = new AbortController()
    const answer = call(request, next.signal)
    next.abort()
    expect(await answer).toMatchObject({ ok: false, failure: 'broken' })
  })

  test.each([
    ['too late', { maxAnswerBytes: 1e9 }, {}, 'timeout'],
    ['too long', { maxAnswerBytes: 1_000 }, {}, 'too_large'],
    ['compressed', {}, { 'content-encoding': 'gzip' }, 'broken'],
  ])('whose answer is %s ends its connection', async (_, options, headers, failure) => {
    const ended = Promise.withResolvers<void>()
    const server = await startServer((_, response) => {
      response.writeHead(200, headers).write('x'.repeat(2_000))
      response.on('close', ended.resolve)
    })
    const { call } = callerOf(server.url, { timeouts: { connectMs: 100, totalMs: 300 }, ...options })
    expect(await call(request)).toMatchObject({ ok: false, failure })
    await ended.promise
  })
})

describe('the failure of an outbound call', () => {
  test('has the code of its error and nothing else of it', () => {
    const error = (code: unknown) => failureOf(Object.assign(new Error('sk-1'), { code }))
    const message = 'The connection broke before the whole answer had come'
    expect(error('ECONNRESET')).toEqual({ ok: false, failure: 'broken', message: `${message} (ECONNRESET).` })
    for (const code of ['sk-1', 'Bearer sk-1', 7, undefined, 'X'.repeat(99)])
      expect(error(code)).toEqual({ ok: false, failure: 'broken', message: `${message}.` })
    expect(failureOf(undefined)).toEqual({ ok: false, failure: 'broken', message: `${message}.` })
  })
})

describe('a closed caller of a provider', () => {
  test('has ended its calls, makes no more, and can be closed again', async () => {
    const arrived = Promise.withResolvers<void>()
    const server = await startServer(() => arrived.resolve())
    const caller = callerOf(server.url)
    const open = caller.call(request)
    await arrived.promise
    await caller.close()
    await caller.close()
    expect(await open).toMatchObject({ ok: false, failure: 'broken' })
    expect(await caller.call(request)).toMatchObject({ ok: false, failure: 'unreachable' })
    expect(server.requests).toHaveLength(1)
  })
})

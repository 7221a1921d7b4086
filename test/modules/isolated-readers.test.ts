import { monitorEventLoopDelay } from 'node:perf_hooks'
import { describe, expect, test } from 'vitest'
import type { Provider } from '../../src/domain/provider.ts'
import { UnreadError } from '../../src/pipeline/provider-readers.ts'
import { readEvent } from '../../src/pipeline/read-event.ts'
import { eventually } from '../support/eventually.ts'
import { threadCpuMs } from '../support/thread-cpu.ts'
import { bytes, LONG_MS, MODULES, NOW_MS, provider, start } from './start-readers.ts'

const readAs = (value: unknown) => ({ kind: 'read', value })
const polled = { id: 'poll_1', task: 't', receivedAtMs: NOW_MS }

const unread = (reason: string) => ({ ok: false, type: 'unknown', reasons: [`provider wilful ${reason}`] })

describe('a user’s code that reads events', () => {
  test('has the same results in its thread as in the main thread', async () => {
    const { read, readers } = start()
    const body = { id: 'evt_1', type: 'a.b', task: 't', data: { ends: 'well', at: [1, 'é', null] }, more: 1 }
    const here = readEvent(provider, { 'x-id': 'h' }, bytes(body), NOW_MS)
    const keys = { id: null, type: null, task: null, data: null, more: null }
    expect(await read(body, { 'x-id': 'h' })).toEqual({ ...here, payload: keys })
    const form = { id: 'evt_1', type: 'a.b', origin: 'webhook', headers: {}, receivedAtMs: NOW_MS } as const
    expect(await readers.stored(provider, form, bytes(body))).toEqual({ ...here, payload: keys })
    const ended = {
      fields: { id: 'poll_1', type: 'wilful.done', data: { n: 1, id: 't' } },
      end: { status: 'completed', word: 'done' },
    }
    expect(await readers.pollAnswer(provider, polled, bytes({ n: 1 }))).toMatchObject({
      kind: 'ended',
      providerStatus: 'done',
      reading: ended,
    })
    const poll = {
      id: 'poll_1',
      type: 'wilful.done',
      origin: 'poll',
      task: 't',
      headers: {},
      receivedAtMs: NOW_MS,
    } as const
    expect(await readers.stored(provider, poll, bytes({ n: 1 }))).toMatchObject(ended)
    expect(await readers.api(provider, 'tasks.poll', 't')).toEqual({ method: 'GET', path: '/t' })
    const submission = { secret: 's', webhookUrl: undefined }
    expect(await readers.apiWithBody(provider, 'tasks.submit.request', bytes({ id: 'r' }), [submission])).toMatchObject(
      readAs({ path: '/tasks', jsonText: '{"id":"r","secret":"s"}' }),
    )
    expect(await readers.apiWithBody(provider, 'tasks.submit.taskId', bytes({ id: 'task_1' }))).toEqual(
      readAs('task_1'),
    )
    expect(await read('no object')).toMatchObject({ ok: true, fields: { type: 'wilful.thing' } })
  })

  test('delays only events of its own provider when it loops: that event carries the reason, and the next one is read', async () => {
    const { read, lines } = start()
    await read({})
    const fromMs = threadCpuMs()
    const all = await Promise.all([
      read({ do: 'loop', id: 'a' }),
      read({ id: 'b' }),
      read({ data: { ends: 'loop' }, id: 'c' }),
      read({ id: 'd' }),
    ])
    const usedMs = threadCpuMs() - fromMs
    expect(all).toMatchObject([
      unread('took longer than 300 ms to read it'),
      { ok: true, fields: { id: 'b' } },
      unread('took longer than 300 ms to read it'),
      { ok: true, fields: { id: 'd' } },
    ])
    // Each of the two loops takes 300 ms.
    expect(usedMs).toBeLessThan(300)
    const told = lines.filter(({ msg }) => msg === 'a provider module took too long to read: its thread is replaced')
    expect(told.map(({ level }) => level)).toEqual([40, 20])
    expect(told[0]).toMatchObject({ provider: 'wilful', deadline_ms: 300 })
  })

  test('and loops over the answer to a poll delays no other provider', async () => {
    const { readers } = start()
    const late = new UnreadError('provider wilful took longer than 300 ms to read it')
    const block = { do: 'block' }
    const asked = await Promise.allSettled([
      readers.pollAnswer(provider, polled, bytes({ do: 'loop' })),
      readers.api(provider, 'tasks.poll', 'block'),
      readers.apiWithBody(provider, 'tasks.submit.request', bytes(block), [{}]),
      readers.apiWithBody(provider, 'tasks.submit.taskId', bytes(block)),
      readers.api(provider, 'tasks.poll', 'sound'),
    ])
    const over = { status: 'rejected', reason: late }
    expect(asked).toEqual([over, over, over, over, expect.objectContaining({ status: 'fulfilled' })])
  })

  test('runs the functions of its API in its thread with the same results, and delays no other provider', async () => {
    const { readers } = start()
    const answer = bytes({ id: 'next' })
    // What could not be sent is there to be seen.
    const headers = { authorization: 'Bearer k', 'x-count': null, 'x-call': null }
    expect(await readers.api(provider, 'headers', 'k')).toEqual(headers)
    const hook = { id: 'h', url: 'https://hooks.example', events: ['a'], active: true }
    expect(await readers.api(provider, 'registrations.list', undefined)).toEqual({ method: 'GET', path: '/hooks' })
    expect(await readers.apiWithBody(provider, 'registrations.readList', answer)).toEqual(
      readAs({ items: [undefined, hook], next: 'next' }),
    )
    expect(await readers.api(provider, 'registrations.create', { url: 'u' }, 's')).toEqual({
      method: 'POST',
      path: '/hooks',
      jsonText: '{"url":"u","secret":"s"}',
    })
    expect(await readers.api(provider, 'registrations.update', 'h', {})).toBeUndefined()
    expect(await readers.apiWithBody(provider, 'registrations.read', answer)).toEqual(readAs(hook))
    expect(await readers.apiWithBody(provider, 'registrations.secret', answer)).toEqual(readAs('handed out'))
    expect(await readers.apiWithBody(provider, 'registrations.secret', Buffer.from('{'))).toEqual({
      kind: 'unreadable',
    })
    expect(await readers.api(provider, 'registrations.eventOf', 'x')).toBe('its x')

    await expect(readers.api(provider, 'registrations.create', { url: 'refused' }, 's')).rejects.toMatchObject({
      message: 'provider wilful could not read it (TypeError)',
      cause: 'no s',
    })
    // Nothing that can be sent.
    expect(await readers.api(provider, 'tasks.poll', 'path')).toBeNull()
    expect(await readers.api(provider, 'registrations.remove', 'many')).toBeNull()
    const block = bytes({ do: 'block' })
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    // It measures from its first look on.
    await eventually(
      async () => delay.count,
      (count) => count > 0,
    )
    const asked = await Promise.allSettled([
      readers.api(provider, 'headers', 'loop'),
      readers.api(provider, 'registrations.list', 'block'),
      readers.apiWithBody(provider, 'registrations.readList', block),
      readers.api(provider, 'registrations.create', { url: 'block' }, 's'),
      readers.api(provider, 'registrations.update', 'block', {}, 's'),
      readers.api(provider, 'registrations.remove', 'block'),
      readers.apiWithBody(provider, 'registrations.read', block),
      readers.apiWithBody(provider, 'registrations.secret', block),
      readers.api(provider, 'registrations.eventOf', 'block'),
    ])
    delay.disable()
    expect(new Set(asked.map((each) => each.status === 'rejected' && each.reason.message))).toEqual(
      new Set(['provider wilful took longer than 300 ms to read it']),
    )
    // All of them together take 2.7 s. One that blocks uses no processor, so that only a clock shows whom it holds up.
    expect(delay.max / 1e6).toBeLessThan(2_000)
  })

  test('that fails leaves an event whose id comes from its bytes', async () => {
    const { read } = start()
    const [one, again, other] = [
      await read({ do: 'block' }),
      await read({ do: 'block' }),
      await read({ do: 'block', n: 1 }),
    ]
    expect(one).toMatchObject({ id: expect.stringMatching(/^sha256:/) })
    expect(again).toEqual(one)
    expect(other).not.toMatchObject({ id: (one as { id: string }).id })
  })

  test.each([
    ['ends its thread', { do: 'exit' }, 'ended the thread that reads it'],
    ['makes very many values of a small body', { do: 'swell' }, /returned more than \d+ values or \d+ bytes/],
    ['fills its memory', { do: 'hoard' }, /ended the thread that reads it|took longer/],
  ])('that %s quarantines only its own event', async (_, body, reason) => {
    const { read } = start(MODULES, LONG_MS)
    const reading = await read(body)
    expect(reading).toMatchObject({ ok: false })
    expect('reasons' in reading && reading.reasons[0]).toMatch(reason)
    expect(await read({ id: 'next' })).toMatchObject({ fields: { id: 'next' } })
  })

  test('that throws, or gives a value that cannot cross threads, has the same result as in the main thread', async () => {
    const { read, readers } = start()
    expect(await read({ do: 'throw' })).toEqual(readEvent(provider, {}, bytes({ do: 'throw' }), NOW_MS))
    expect(await read({ do: 'function' })).toMatchObject({ ok: true, fields: { data: { n: 1 } } })
    const asking = async () => readers.pollAnswer(provider, polled, bytes({ do: 'throw' }))
    await expect(asking()).rejects.toThrow(new UnreadError('provider wilful could not read it (RangeError)'))
    await read({ do: 'late' })
    await expect.poll(() => read({ id: 'after' })).toMatchObject({ fields: { id: 'after' } })
  })

  test('that writes to the console without end is logged in part, and does not block the main thread', async () => {
    const { read, lines } = start()
    await read({})
    const from = performance.now()
    await read({ do: 'talk', id: 'a' })
    await read({ id: 'b' })
    // Not so long as to pass all of it on.
    let longestMs = 0
    let last = threadCpuMs()
    while (performance.now() - from < 1_000) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      longestMs = Math.max(longestMs, threadCpuMs() - last)
      last = threadCpuMs()
    }
    const said = lines.filter(({ msg }) => String(msg).startsWith('line '))
    expect(said[0]).toMatchObject({ msg: 'line 0', level: 30, provider: 'wilful' })
    expect(said.length).toBeLessThan(250)
    expect(longestMs).toBeLessThan(500)
  })

  test('that gives a promise has read nothing, and its thread goes on even if the promise rejects', async () => {
    const { read, lines } = start()
    expect(await read({ do: 'reject' })).toMatchObject({ ok: false, reasons: ['no event type'] })
    expect(await read({ id: 'next' })).toMatchObject({ fields: { id: 'next' } })
    expect(lines).toEqual([])
  })

  test('has read an event whose answer its thread gave right before its end', async () => {
    const { read } = start()
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => read({ do: 'soon', id: `${n}` })))
    expect(all.filter(({ ok }) => !ok)).toEqual([])
  })

  test('does not harm later events by work that it leaves running', async () => {
    const { read } = start()
    const all = await Promise.all(
      [{ do: 'late' }, ...Array.from({ length: 300 }, (_, n) => ({ id: `${n}` }))].map(read),
    )
    expect(all.filter(({ ok }) => !ok)).toEqual([])
  })

  test('that posts messages of its own does not confuse the answers to its calls', async () => {
    const { read, lines } = start()
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => read({ do: 'say', id: `${n}` })))
    expect(all).toMatchObject(Array.from({ length: 50 }, (_, n) => ({ ok: true, fields: { id: `${n}` } })))
    expect(lines).toEqual([])
  })

  test('keeps its thread if it answers in time but the main thread is too busy to see it', async () => {
    const { read, lines } = start()
    await read({})
    const reading = read({ id: 'a' })
    await new Promise((resolve) => setImmediate(resolve))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
    expect(await reading).toMatchObject({ ok: true, fields: { id: 'a' } })
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(lines).toEqual([])
  })

  test('ends only its own thread when it throws later, with any value', async () => {
    const { read, lines } = start()
    await read({ do: 'null' })
    await expect.poll(() => lines).toMatchObject([{ msg: 'the thread that reads for a provider module has ended' }])
    expect(await read({ id: 'a' })).toMatchObject({ ok: true, fields: { id: 'a' } })
  })

  test('that ends its thread as soon as it is loaded is loaded again only for the next event', async () => {
    const { read, lines } = start({ wilful: import.meta.resolve('./modules/short-lived.ts') })
    await expect.poll(() => lines.length).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(lines.length).toBe(1)
    expect(await read({ id: 'a' })).toMatchObject({ ok: true, fields: { id: 'a' } })
  })

  test('has its events refused, and not quarantined, while its thread cannot run', async () => {
    const { read, readers } = start({ wilful: 'file:///nowhere/wilful.ts' })
    await expect(read({})).rejects.toMatchObject({ code: 'unavailable' })
    const waits = start()
    const waiting = Promise.allSettled(Array.from({ length: 1_100 }, () => waits.read({})))
    const outcomes = (await waiting).map((each) => (each.status === 'rejected' ? each.reason.code : each.value.ok))
    expect(new Set(outcomes)).toEqual(new Set([true, 'unavailable']))
    await readers.close()
    await expect(read({})).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('is not involved for shipped modules and maps, which read in the main thread', () => {
    const { readers } = start()
    const mapped = { ...provider, event: { type: 'body:type' } } as unknown as Provider
    expect(readers.event(mapped, {}, bytes({ type: 'a.b' }), NOW_MS)).not.toBeInstanceOf(Promise)
  })
})

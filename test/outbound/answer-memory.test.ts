import { describe, expect, test } from 'vitest'
import { AnswerMemory } from '../../src/outbound/read-answer.ts'
import { callerOf, startServer } from './loopback-server.ts'

const { signal } = new AbortController()

describe('the memory for answers', () => {
  test('is given in the order of the requests, and a smaller request does not pass a larger one', async () => {
    const room = new AnswerMemory(100)
    const entered: string[] = []
    const ask = (name: string, bytes: number) =>
      room.take(bytes, signal).then((giveBack) => {
        entered.push(name)
        return giveBack
      })
    const first = await ask('first', 60)
    const [second, third] = [ask('second', 50), ask('third', 10)]
    expect(entered).toEqual(['first'])
    first()
    first()
    for (const giveBack of [await second, await third]) giveBack()
    expect(entered).toEqual(['first', 'second', 'third'])
    expect(room.takenBytes()).toBe(0)
  })

  test('is given whole to a request for more than there is', async () => {
    const room = new AnswerMemory(100)
    const giveBack = await room.take(1_000, signal)
    expect(room.takenBytes()).toBe(100)
    giveBack()
    expect(room.takenBytes()).toBe(0)
  })

  test('is not held by a caller that has given up waiting for it', async () => {
    const room = new AnswerMemory(100)
    const first = await room.take(100, signal)
    const leaving = new AbortController()
    const left = room.take(50, leaving.signal)
    const stayed = room.take(100, signal)
    leaving.abort()
    await expect(left).rejects.toThrow('There was no memory for the answer')
    first()
    ;(await stayed)()
    expect(room.takenBytes()).toBe(0)
  })
})

test('long answers that arrive at once are read as far as the memory has room for them, and the others wait their turn', async () => {
  const text = JSON.stringify({ result: 'x'.repeat(200_000) })
  const server = await startServer((_, response) => response.end(text))
  const room = new AnswerMemory(450_000)
  const { call } = callerOf(server.url, { maxAnswerBytes: 250_000, memory: room })
  const holds = Array.from({ length: 6 }, () => new DisposableStack())
  const calls = holds.map((hold) => call({ method: 'GET', path: '/' }, undefined, { hold }))
  const read: number[] = []
  for (const [at, each] of calls.entries()) void each.then(() => read.push(at))
  while (read.length < 6) {
    await Promise.race(calls.filter((_, at) => !read.includes(at)))
    expect(room.takenBytes()).toBeLessThanOrEqual(450_000)
    for (const at of read) holds[at]?.dispose()
  }
  const answers = await Promise.all(calls)
  expect(answers.map((answer) => answer.ok && answer.body.toString() === text)).toEqual(Array(6).fill(true))
  for (const hold of holds) hold.dispose()
  expect(room.takenBytes()).toBe(0)
})

test('an answer that keeps coming may take longer than one that stalls, up to a bound', async () => {
  const server = await startServer((request, response) => {
    const timer = setInterval(() => void response.write('x'.repeat(300_000)), 50)
    response.on('close', () => clearInterval(timer))
    if (request.url === '/ends') setTimeout(() => response.end('x'), 700).unref()
  })
  const { call } = callerOf(server.url, { maxAnswerBytes: 100_000_000, timeouts: { connectMs: 1_000, totalMs: 500 } })
  expect(await call({ method: 'GET', path: '/ends' })).toMatchObject({ ok: true, status: 200 })
  expect(await call({ method: 'GET', path: '/endless' })).toMatchObject({ ok: false, failure: 'timeout' })
})

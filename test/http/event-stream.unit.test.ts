import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { EventStream } from '../../src/http/ops/event-stream.ts'
import { eventually } from '../support/eventually.ts'

/** A response whose client reads only when the test says so. */
function response() {
  const emitter = new EventEmitter()
  const state = { written: '', ended: undefined as string | undefined, isReading: false }
  const answer = Object.assign(emitter, {
    destroyed: false,
    write: (text: string) => {
      state.written += text
      return state.isReading
    },
    end: (text: string) => {
      state.ended = text
    },
    destroy: () => {
      answer.destroyed = true
      emitter.emit('close')
    },
  })
  return { answer: answer as unknown as ServerResponse & { destroyed: boolean }, state, emitter }
}

const here = new AbortController().signal

test('a write waits until the client has read it, and fails if the client does not read in time', async () => {
  const { answer, state, emitter } = response()
  const stream = new EventStream(answer, here, 20)
  state.isReading = true
  expect(await stream.write('a')).toBe(true)
  state.isReading = false
  const waiting = stream.write('b')
  emitter.emit('drain')
  expect(await waiting).toBe(true)
  expect(await stream.write('c')).toBe(false)
  expect([emitter.listenerCount('drain'), state.written]).toEqual([0, 'abc'])
})

test('a write fails at once if the client is gone', async () => {
  const gone = new AbortController()
  const { answer, state } = response()
  const stream = new EventStream(answer, gone.signal, 60_000)
  const waiting = stream.write('a')
  gone.abort()
  expect(await waiting).toBe(false)
  expect(await stream.write('b')).toBe(false)
  expect(state.written).toBe('a')
})

test('a client that does not read the last message loses the connection', async () => {
  const { answer, state } = response()
  new EventStream(answer, here).end('event: over\n\n')
  expect(state.ended).toBe('event: over\n\n')
  await eventually(async () => answer.destroyed, Boolean)
})

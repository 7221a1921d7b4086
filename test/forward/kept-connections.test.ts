import { forward } from 'holdfast'
import { runHandler, sample } from 'holdfast/testing'
import { describe, expect, test } from 'vitest'
import { type Receiver, startReceiver } from './receiver.ts'

const sendTo = ({ url }: Receiver) => {
  const handler = forward({ url, allowPrivate: true })
  return () => runHandler(handler, sample('standard', 'acme.thing', { size: 3 }))
}

describe('a connection that is kept open between two events', () => {
  test.each(['resets', 'ends'])(
    'does not fail an attempt if the service %s it as the next request comes',
    async (how) => {
      const used = new WeakSet()
      const receiver = await startReceiver((response, _received, { socket }) => {
        if (!used.has(socket)) return used.add(socket) && response.end()
        return how === 'resets' ? socket.resetAndDestroy() : socket.destroy()
      })
      const send = sendTo(receiver)
      for (let n = 0; n < 4; n++) expect(await send()).toMatchObject({ outcome: 'succeeded' })
      expect(receiver.connections()).toBe(4)
      const ids = receiver.received.map(({ headers }) => headers['webhook-id'])
      expect(ids).toHaveLength(7)
      expect(new Set(ids).size).toBe(4)
    },
  )

  test('does not fail an attempt if all such connections are closed in this way', async () => {
    const used = new WeakSet()
    const waiting: (() => void)[] = []
    const receiver = await startReceiver((response, _received, { socket }) => {
      if (used.has(socket)) return socket.destroy()
      used.add(socket)
      if (receiver.received.length > 8) response.end()
      else if (waiting.push(() => response.end()) === 8) for (const end of waiting) end()
      return undefined
    })
    const send = sendTo(receiver)
    await Promise.all(Array.from({ length: 8 }, send))
    expect(receiver.connections()).toBe(8)
    expect(await send()).toMatchObject({ outcome: 'succeeded' })
  })
})

test('a request on a new connection that breaks is sent once in an attempt', async () => {
  const receiver = await startReceiver((_response, _received, { socket }) => socket.destroy())
  expect(await sendTo(receiver)()).toMatchObject({ outcome: 'failed' })
  expect(receiver.received).toHaveLength(1)
})

test('a request on a kept connection is sent once in an attempt if its answer does not come in time', async () => {
  const receiver = await startReceiver((response) => receiver.received.length === 1 && response.end())
  const handler = forward({ url: receiver.url, allowPrivate: true, timeoutMs: 300 })
  const send = () => runHandler(handler, sample('standard', 'acme.thing', { size: 3 }))
  expect(await send()).toMatchObject({ outcome: 'succeeded' })
  expect(await send()).toMatchObject({ outcome: 'failed', error: expect.stringContaining('within 300 ms') })
  expect(receiver.received).toHaveLength(2)
})

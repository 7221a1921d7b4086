import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeFrame, FrameDecoder } from '../../src/dispatch/ipc/framing.ts'
import { propertyParameters } from '../support/property.ts'

function read(chunks: readonly Buffer[], maxBytes?: number) {
  const frames: { message: unknown; tail: string }[] = []
  const reader = new FrameDecoder((message, tail) => frames.push({ message, tail: tail.toString('hex') }), maxBytes)
  for (const chunk of chunks) reader.push(chunk)
  return frames
}

test('the decoder of a handler process’s messages returns them and the bytes behind them as they were encoded, however the socket cuts them', () => {
  const sent = fc.array(fc.record({ message: fc.jsonValue(), tail: fc.uint8Array({ maxLength: 50 }) }), {
    maxLength: 5,
  })
  fc.assert(
    fc.property(sent, fc.array(fc.nat(400), { maxLength: 20 }), (frames, cuts) => {
      const bytes = Buffer.concat(frames.flatMap(({ message, tail }) => encodeFrame(message, [tail])))
      const places = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
      const chunks = places.slice(1).map((to, at) => bytes.subarray(places[at], to))
      expect(read(chunks)).toEqual(
        frames.map(({ message, tail }) => ({
          message: JSON.parse(JSON.stringify(message)),
          tail: Buffer.from(tail).toString('hex'),
        })),
      )
    }),
    propertyParameters(),
  )
})

test('the decoder of a handler process’s messages refuses bytes that are not a message, and a message larger than allowed before the rest of it arrives', () => {
  expect(() => read([Buffer.from('garbage that is no frame')])).toThrow(/bytes/)
  const noJson = Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{]}')])
  expect(() => read([noJson])).toThrow(/not JSON/)
  const large = Buffer.concat(encodeFrame({ text: 'x'.repeat(1_000) }))
  expect(() => read([large.subarray(0, 8)], 100)).toThrow(/1020|bytes/)
})

import type { IncomingMessage } from 'node:http'
import { MAX_ARRIVING_BYTES } from '../domain/limits.ts'

/** `overloaded`: the bodies that arrive together are more than may be held. */
export type BodyRead = Buffer | 'too_large' | 'overloaded' | 'aborted'

const EMPTY = Buffer.alloc(0)

/**
 * Reads bodies as the bytes that came. Past a bound it keeps nothing of a body and lets the rest flow by, so that the
 * sender lives to read its answer instead of meeting a reset connection; the request timeout bounds that. What is held
 * follows the bytes that came, not the pieces they came in: a million chunks of one byte are no more than a mebibyte.
 * Never rejects.
 */
export function createBodyReader(limitBytes: number, maxArrivingBytes = MAX_ARRIVING_BYTES) {
  let arrivingBytes = 0

  return (request: IncomingMessage): Promise<BodyRead> =>
    new Promise((resolve) => {
      const declared = request.headers['content-length']
      const expectedBytes = declared === undefined ? limitBytes : Number(declared)
      let held: Buffer = EMPTY
      let sizeBytes = 0

      const hold = (buffer: Buffer): void => {
        arrivingBytes += buffer.length - held.length
        held = buffer
      }
      const finish = (read: BodyRead): void => {
        request.off('data', onData)
        hold(EMPTY)
        resolve(read)
      }
      const refuse = (why: 'too_large' | 'overloaded'): void => {
        finish(why)
        request.resume()
      }
      const take = (chunk: Buffer): void => {
        const neededBytes = sizeBytes + chunk.length
        if (sizeBytes === 0) hold(chunk)
        else {
          if (neededBytes > held.length) hold(grown(held, sizeBytes, neededBytes, expectedBytes))
          chunk.copy(held, sizeBytes)
        }
        sizeBytes = neededBytes
      }
      const onData = (chunk: Buffer): void => {
        if (sizeBytes + chunk.length > limitBytes) refuse('too_large')
        else {
          take(chunk)
          if (arrivingBytes > maxArrivingBytes) refuse('overloaded')
        }
      }

      if (expectedBytes > limitBytes) {
        refuse('too_large')
        return
      }
      request.on('data', onData)
      request.on('end', () => finish(held.subarray(0, sizeBytes)))
      request.on('error', () => finish('aborted'))
    })
}

/** Twice the room, so that each byte is copied about once, but no more than can still come. */
function grown(held: Buffer, sizeBytes: number, neededBytes: number, expectedBytes: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(neededBytes, Math.min(2 * held.length, expectedBytes)))
  held.copy(larger, 0, 0, sizeBytes)
  return larger
}

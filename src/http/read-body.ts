import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import {
  BODY_BYTES_PER_PIECE,
  MAX_BODY_CHUNKS,
  MAX_BODY_READS,
  MAX_FRAMING_BYTES,
  ORDINARY_BODY_CHUNKS,
  ORDINARY_BYTES_PER_CHUNK,
} from '../domain/limits.ts'
import type { Arriving, Share } from './arriving.ts'

/** `overloaded`: the bodies that arrive together are more than may be held; `too_many_pieces`: it is mostly framing. */
export type BodyRead = Buffer | 'too_large' | 'too_many_pieces' | 'overloaded' | 'aborted'

const EMPTY = Buffer.alloc(0)

export interface Sender {
  /** Whose share of what may arrive together the body counts for. */
  readonly peer: string
  /** Its headers carry what a signed request carries. */
  readonly looksSigned: boolean
}

/**
 * Reads bodies as the bytes that came. One that is refused is read no further: the connection is closed by whoever
 * answers. What is held follows the bytes that came, not the pieces they came in; and as each piece costs the thread as
 * much as a kilobyte, a body may come in no more than `MAX_BODY_CHUNKS` or `MAX_BODY_READS`, and one for each
 * `BODY_BYTES_PER_PIECE`.
 * `onManyChunks` is told, before that, of the socket of a body in more chunks than senders make.
 * Never rejects.
 */
export function createBodyReader(limitBytes: number, arriving: Arriving, onManyChunks: (socket: Socket) => void) {
  return (request: IncomingMessage, sender: () => Sender): Promise<BodyRead> =>
    new Promise((resolve) => {
      const declared = request.headers['content-length']
      const declaredBytes = declared === undefined ? undefined : Number(declared)
      const expectedBytes = declaredBytes ?? limitBytes
      const maxPieces = declared === undefined ? MAX_BODY_CHUNKS : MAX_BODY_READS
      const { socket } = request
      const wireBytesBefore = socket.bytesRead
      let held: Buffer = EMPTY
      let sizeBytes = 0
      let pieces = 0

      const finish = (read: BodyRead): void => {
        request.off('data', onData)
        share?.release()
        held = EMPTY
        resolve(read)
      }
      let share: Share | undefined
      const hold = (buffer: Buffer): void => {
        const before = held.length
        held = buffer
        // Most bodies come whole in one piece, and so never wait for the rest.
        if (share === undefined && sizeBytes === declaredBytes) return
        share ??= arriving.open(sender(), () => finish('overloaded'))
        share.hold(buffer.length - before)
      }
      const take = (chunk: Buffer): void => {
        const neededBytes = sizeBytes + chunk.length
        let room = held
        if (sizeBytes === 0) room = chunk
        else {
          if (neededBytes > held.length) room = grown(held, sizeBytes, neededBytes, expectedBytes)
          chunk.copy(room, sizeBytes)
        }
        sizeBytes = neededBytes
        if (room !== held) hold(room)
      }
      const isMostlyFraming = (): boolean =>
        ++pieces > maxPieces + sizeBytes / BODY_BYTES_PER_PIECE ||
        socket.bytesRead - wireBytesBefore > 2 * sizeBytes + MAX_FRAMING_BYTES
      const onData = (chunk: Buffer): void => {
        if (sizeBytes + chunk.length > limitBytes) finish('too_large')
        else if (isMostlyFraming()) finish('too_many_pieces')
        else take(chunk)
        if (declared === undefined && pieces > ORDINARY_BODY_CHUNKS + sizeBytes / ORDINARY_BYTES_PER_CHUNK)
          onManyChunks(socket)
      }

      if (expectedBytes > limitBytes) {
        finish('too_large')
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

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import {
  BODY_BYTES_PER_PIECE,
  MAX_BODY_CHUNKS,
  MAX_BODY_READS,
  MAX_FRAMING_BYTES,
  ORDINARY_BODY_CHUNKS,
  ORDINARY_BYTES_PER_CHUNK,
} from '../../domain/limits.ts'
import type { BudgetShare, ReadBudget, Sender } from '../read-budget.ts'

/** `overloaded`: the read budget has evicted this body; `too_many_pieces`: the body is mostly framing. */
export type BodyRead = Buffer | 'too_large' | 'too_many_pieces' | 'overloaded' | 'aborted'

const EMPTY = Buffer.alloc(0)

/**
 * Reads the exact bytes of bodies. Stops reading a body that it refuses: the route's answer closes the connection. Holds memory in
 * proportion to the bytes received, not to the number of pieces. Each piece costs the thread as much as a kilobyte, so a body may
 * come in at most `MAX_BODY_CHUNKS` (chunked) or `MAX_BODY_READS` (of declared length) pieces, and one more for each
 * `BODY_BYTES_PER_PIECE`. Calls `onManyChunks` with the socket of a body that comes in more chunks than ordinary senders make,
 * before that limit. Never rejects.
 */
export function createBodyReader(limit: () => number, budget: ReadBudget, onManyChunks: (socket: Socket) => void) {
  return (request: IncomingMessage, sender: () => Sender): Promise<BodyRead> =>
    new Promise((resolve) => {
      const limitBytes = limit()
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
      let share: BudgetShare | undefined
      const hold = (buffer: Buffer): void => {
        const before = held.length
        held = buffer
        // Most bodies come in one piece, and take no share of the budget.
        if (share === undefined && sizeBytes === declaredBytes) return
        share ??= budget.open(sender(), () => finish('overloaded'))
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

/** Doubles the buffer, so that each byte is copied about once, but never past the bytes that can still come. */
function grown(held: Buffer, sizeBytes: number, neededBytes: number, expectedBytes: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(neededBytes, Math.min(2 * held.length, expectedBytes)))
  held.copy(larger, 0, 0, sizeBytes)
  return larger
}

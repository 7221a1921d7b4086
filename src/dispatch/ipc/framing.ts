/** A frame begins with two lengths of 4 bytes each: of the message and of the bytes behind it. */
const PREFIX_BYTES = 8
/** Large enough for the bodies of all attempts that one process may have at once. */
const MAX_FRAME_BYTES = 1_200 * 1024 * 1024

/** The bytes that arrived are not a frame, or the frame is larger than allowed. */
class FramingError extends Error {
  override readonly name = 'FramingError'
}

// Bound here, before user code can replace them.
const { parse, stringify } = JSON

/** The parts of a frame, to be written one after the other: the two lengths, the message as JSON, the bytes behind it. */
export function encodeFrame(message: unknown, tail: readonly Uint8Array[] = []): readonly Uint8Array[] {
  const text = Buffer.from(stringify(message))
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES)
  prefix.writeUInt32LE(text.length, 0)
  prefix.writeUInt32LE(
    tail.reduce((sum, { length }) => sum + length, 0),
    4,
  )
  return [prefix, text, ...tail]
}

/** Puts frames together again from the chunks of a socket. */
export class FrameDecoder {
  readonly #maxBytes: number
  readonly #onFrame: (message: unknown, tail: Buffer) => void
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(onFrame: (message: unknown, tail: Buffer) => void, maxBytes = MAX_FRAME_BYTES) {
    this.#onFrame = onFrame
    this.#maxBytes = maxBytes
  }

  /** Throws `FramingError`; the decoder cannot read anything that arrives after that. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    while (this.#bytes >= PREFIX_BYTES) {
      const head = this.#peek(PREFIX_BYTES)
      const textBytes = head.readUInt32LE(0)
      const frameBytes = PREFIX_BYTES + textBytes + head.readUInt32LE(4)
      if (frameBytes > this.#maxBytes) throw new FramingError(`a message of ${frameBytes} bytes`)
      if (this.#bytes < frameBytes) return
      const frame = this.#take(frameBytes)
      const message = parsed(frame.toString('utf8', PREFIX_BYTES, PREFIX_BYTES + textBytes))
      this.#onFrame(message, frame.subarray(PREFIX_BYTES + textBytes))
    }
  }

  #peek(bytes: number): Buffer {
    const [first] = this.#chunks
    if (first !== undefined && first.length >= bytes) return first
    return this.#join()
  }

  #take(bytes: number): Buffer {
    const [first] = this.#chunks
    const whole = first !== undefined && first.length >= bytes ? first : this.#join()
    const rest = whole.subarray(bytes)
    if (rest.length > 0) this.#chunks[0] = rest
    else this.#chunks.shift()
    this.#bytes -= bytes
    return whole.subarray(0, bytes)
  }

  #join(): Buffer {
    const whole = Buffer.concat(this.#chunks)
    this.#chunks = [whole]
    return whole
  }
}

function parsed(text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    throw new FramingError('a message that is not JSON', { cause: error })
  }
}

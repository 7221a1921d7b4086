import { constants, fstatSync, openSync, write, writeSync } from 'node:fs'

/** Bytes that may wait for a stalled reader; beyond it lines are dropped and counted, and the service goes on. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024
/** Lines are written together once they have this many bytes, or after `MAX_DELAY_MS`. */
const WRITE_BYTES = 2_048
/** A write of at most this size to a pipe is atomic (PIPE_BUF): lines of several processes do not mix, unless a line is longer. */
const MAX_WRITE_BYTES = 4_096
const MAX_DELAY_MS = 50
/** Wait before a write is tried again that a full pipe did not accept, or that failed. */
const FULL_RETRY_MS = 10
const FAILED_RETRY_MS = 1_000
/** How long `flush` waits in all for a reader that does not read. */
const MAX_FLUSH_MS = 1_000

interface Chunk {
  text: string
  bytes: number
  lines: number
}

/**
 * Writes lines to a file descriptor; callers never wait. A reader that is slow or gone, or a full disk, costs lines and nothing else.
 * Not pino's own destination: its synchronous flush repeats a write that fails for ever, so that the process would never end.
 */
export class LineWriter {
  readonly #fd: number
  readonly #chunks: Chunk[] = []
  #bytes = 0
  #dropped = 0
  /** The part of a chunk that is being written, or could not be written. */
  #rest: Buffer | undefined
  #isWriting = false
  /** The last write has failed, and the timer tries it again. */
  #isPaused = false
  /** The reader is gone. */
  #isBroken = false
  #timer: NodeJS.Timeout | undefined

  constructor(fd: number) {
    this.#fd = withoutBlocking(fd)
    open.add(this)
  }

  /** How many lines were dropped so far. */
  get dropped(): number {
    return this.#dropped
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line)
    if (this.#isBroken || this.#bytes + bytes > MAX_BUFFERED_BYTES) {
      this.#dropped++
      return
    }
    this.#bytes += bytes
    const last = this.#chunks.at(-1)
    if (last === undefined || last.bytes + bytes > MAX_WRITE_BYTES) this.#chunks.push({ text: line, bytes, lines: 1 })
    else {
      last.text += line
      last.bytes += bytes
      last.lines++
    }
    if (this.#bytes >= WRITE_BYTES) this.#writeNext()
    // No timer that wakes the process while there are no lines.
    this.#timer ??= this.#writeIn(MAX_DELAY_MS)
  }

  /** Writes the lines that wait, as far as they are accepted within `MAX_FLUSH_MS`. Blocks meanwhile. */
  flush(): void {
    const giveUpAtMs = performance.now() + MAX_FLUSH_MS
    // What is being written is with the system already.
    let part = this.#isWriting ? this.#take() : (this.#rest ?? this.#take())
    if (!this.#isWriting) this.#rest = undefined
    while (part !== undefined) {
      try {
        const written = writeSync(this.#fd, part)
        this.#bytes -= written
        part = written < part.length ? part.subarray(written) : this.#take()
      } catch (error) {
        if (!isFull(error) || performance.now() >= giveUpAtMs) return this.#dropAll()
        Atomics.wait(SLEEP, 0, 0, FULL_RETRY_MS)
      }
    }
  }

  #writeIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#timer = undefined
      this.#isPaused = false
      this.#writeNext()
    }, ms).unref()
  }

  #writeNext(): void {
    if (this.#isWriting || this.#isPaused) return
    this.#rest ??= this.#take()
    if (this.#rest === undefined) return
    this.#isWriting = true
    write(this.#fd, this.#rest, (error, written) => this.#onWritten(error, written))
  }

  #onWritten(error: NodeJS.ErrnoException | null, written: number): void {
    this.#isWriting = false
    if (error !== null) this.#onError(error)
    else {
      this.#bytes -= written
      const rest = this.#rest?.subarray(written)
      this.#rest = rest === undefined || rest.length === 0 ? undefined : rest
      if (this.#rest !== undefined || this.#bytes >= WRITE_BYTES) this.#writeNext()
    }
  }

  /** A full disk may get room again. A reader that is gone does not come back. */
  #onError(error: NodeJS.ErrnoException): void {
    if (error.code === 'EPIPE') {
      this.#isBroken = true
      this.#dropAll()
      return
    }
    this.#isPaused = true
    clearTimeout(this.#timer)
    this.#timer = this.#writeIn(isFull(error) ? FULL_RETRY_MS : FAILED_RETRY_MS)
  }

  #take(): Buffer | undefined {
    const chunk = this.#chunks.shift()
    return chunk && Buffer.from(chunk.text)
  }

  /** Not what is being written. */
  #dropAll(): void {
    for (const { lines } of this.#chunks.splice(0)) this.#dropped += lines
    if (!this.#isWriting) this.#rest = undefined
    this.#bytes = this.#rest?.length ?? 0
  }
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4))

const isFull = (error: unknown): boolean => ['EAGAIN', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * The same pipe, opened so that a write to it fails while it is full: a write that waits would occupy a thread of Node, and keep the
 * process from ending. `fd` itself if it is no pipe, or if the system does not allow that.
 */
function withoutBlocking(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO()) return fd
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return fd
  }
}

/** Written when the process ends, however it does: a handler may end its process. */
const open = new Set<LineWriter>()
process.on('exit', () => {
  for (const writer of open) writer.flush()
})

import { setImmediate } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import type { Headers } from '../domain/event.ts'
import type { CallResult } from '../domain/outbound.ts'
import { Outline } from './answer-outline.ts'
import { CallFault } from './call-fault.ts'

/** An answer of at most this many bytes does not count against the memory for answers. */
const FREE_BYTES = 65_536
/** After each this many bytes the call's time starts again. */
const PROGRESS_BYTES = 262_144
/** How many bytes the outline reads before the thread does other work. */
const SLICE_BYTES = 262_144
/** How many times its limit is read of an answer that is too long: short values may follow after long ones. */
const MAX_FOLLOWED = 8
/** The longest that an answer waits for memory; its task is polled again later. */
const MAX_ROOM_WAIT_MS = 60_000

interface ReadOptions {
  /** Bytes of an answer that is kept whole. */
  readonly maxBytes: number
  /** Whether to give the outline of a longer answer. */
  readonly outline: boolean
  readonly memory: AnswerMemory
  /** The timer of the call: each `progress` gives it more time, and `stop` stops it until the next one. */
  readonly time: { progress(): void; stop(): void }
  readonly signal: AbortSignal
  /** Releases the answer's share of the memory when it is disposed. */
  readonly hold: DisposableStack
}

/**
 * Reads a whole answer of at most `maxBytes`, or the outline of a longer one. Throws `CallFault`, and the connection is closed, if
 * the answer is compressed, or is longer and its outline is not wanted or cannot be made.
 */
export async function readAnswer(answer: Dispatcher.ResponseData, reading: ReadOptions): Promise<CallResult> {
  const { statusCode, headers, body } = answer
  // If the reading stops early, the body is destroyed and may emit an error, which would end the process.
  body.on('error', () => {})
  if (![undefined, '', 'identity'].includes(joined(headers['content-encoding'])?.toLowerCase())) {
    body.destroy()
    throw new CallFault('broken', 'The answer is compressed, although the request allows no compression.')
  }
  const announced = Number(joined(headers['content-length']) ?? Number.NaN)
  const content = await new AnswerReader(reading, announced).read(body as AsyncIterable<Buffer>)
  return { ok: true, status: statusCode, headers: flat(headers), ...content }
}

class AnswerReader {
  readonly #reading: ReadOptions
  /** The answer's length in bytes according to its Content-Length header; NaN: it has none. */
  readonly #announced: number
  #chunks: Buffer[] = []
  /**
   * A long answer. Filled while it arrives, because joining its chunks at the end would block the thread. Shared memory, so that the
   * threads that read and store the answer need no copy.
   */
  #whole: Buffer | undefined
  #bytes = 0
  #progressAt = PROGRESS_BYTES
  #outline: Outline | undefined
  /** Bytes that the outline has read since the thread last did other work. */
  #sliceBytes = 0
  #releaseMemory: (() => void) | undefined

  constructor(reading: ReadOptions, announced: number) {
    this.#reading = reading
    this.#announced = announced
  }

  async read(body: AsyncIterable<Buffer>) {
    const { maxBytes } = this.#reading
    try {
      for await (const chunk of body) if (!(await this.#take(chunk))) break
    } catch (error) {
      if (this.#outline === undefined) throw error
    }
    if (this.#outline === undefined)
      return { body: this.#whole?.subarray(0, this.#bytes) ?? Buffer.concat(this.#chunks, this.#bytes) }
    const kept = this.#outline.kept()
    if (kept === undefined) throw tooLarge(maxBytes)
    const size = Number.isSafeInteger(this.#announced) ? { size_bytes: this.#announced } : {}
    const holdfast = { truncated: true, limit_bytes: maxBytes, ...size, omitted: kept.omitted }
    return { body: Buffer.from(JSON.stringify({ ...kept.value, holdfast })), truncated: { limitBytes: maxBytes } }
  }

  /** Resolves with false if no more of the answer is needed. */
  async #take(chunk: Buffer): Promise<boolean> {
    const { maxBytes, time } = this.#reading
    this.#bytes += chunk.length
    if (this.#bytes >= this.#progressAt) {
      this.#progressAt = this.#bytes + PROGRESS_BYTES
      time.progress()
    }
    if (this.#outline !== undefined) return this.#follow(chunk)
    if (this.#bytes > maxBytes || this.#announced > maxBytes) return this.#beginOutline(chunk)
    if (this.#whole !== undefined) {
      this.#whole.set(chunk, this.#bytes - chunk.length)
      return true
    }
    this.#chunks.push(chunk)
    if (this.#bytes > FREE_BYTES && this.#releaseMemory === undefined) await this.#takeMemory()
    return true
  }

  async #beginOutline(chunk: Buffer): Promise<boolean> {
    if (!this.#reading.outline) throw tooLarge(this.#reading.maxBytes)
    this.#outline = new Outline()
    const before = this.#whole?.subarray(0, this.#bytes - chunk.length)
    const chunks = before === undefined ? this.#chunks : slicesOf(before)
    this.#chunks = []
    this.#whole = undefined
    for (const each of chunks) if (!(await this.#follow(each))) return false
    this.#releaseMemory?.()
    return this.#follow(chunk)
  }

  /** Lets the thread do other work after each `SLICE_BYTES`: a connection may deliver megabytes at once. */
  async #follow(chunk: Buffer): Promise<boolean> {
    const goesOn = this.#outline?.push(chunk) === true && this.#bytes <= this.#reading.maxBytes * MAX_FOLLOWED
    this.#sliceBytes += chunk.length
    if (this.#sliceBytes < SLICE_BYTES) return goesOn
    this.#sliceBytes = 0
    await setImmediate()
    return goesOn
  }

  /** Takes memory once, for the whole answer: two answers that both hold a part and wait for more could wait for ever. */
  async #takeMemory(): Promise<void> {
    const { maxBytes, memory, time, signal, hold } = this.#reading
    const bytes = Number.isSafeInteger(this.#announced) ? this.#announced : maxBytes
    time.stop()
    this.#releaseMemory = await memory.take(bytes, AbortSignal.any([signal, AbortSignal.timeout(MAX_ROOM_WAIT_MS)]))
    hold.defer(this.#releaseMemory)
    time.progress()
    this.#fill(bytes)
  }

  /**
   * `bytes`: the most that can arrive, because the HTTP client enforces an announced length. The operating system gives memory only to
   * the pages that are filled.
   */
  #fill(bytes: number): void {
    this.#whole = Buffer.from(new SharedArrayBuffer(bytes))
    let at = 0
    for (const chunk of this.#chunks) {
      this.#whole.set(chunk, at)
      at += chunk.length
    }
    this.#chunks = []
  }
}

function* slicesOf(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) yield bytes.subarray(at, at + SLICE_BYTES)
}

const tooLarge = (maxBytes: number): CallFault =>
  new CallFault('too_large', `The answer is longer than ${maxBytes} bytes.`)

export const flat = (headers: Dispatcher.ResponseData['headers']): Headers =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, joined(value)]))

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value

interface Waiting {
  readonly bytes: number
  readonly enter: () => void
}

/**
 * The memory for long answers that are being read and stored, over all sources. If too little is left for an answer, the answer waits
 * in a queue and holds no memory meanwhile.
 */
export class AnswerMemory {
  readonly #capacityBytes: number
  readonly #waiting: Waiting[] = []
  #takenBytes = 0

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes
  }

  takenBytes = (): number => this.#takenBytes

  /**
   * Resolves with a function that releases the memory; its second call does nothing. An answer longer than the capacity takes the whole
   * capacity. Rejects if the signal aborts before the memory is free.
   */
  async take(wantedBytes: number, signal: AbortSignal): Promise<() => void> {
    const bytes = Math.min(wantedBytes, this.#capacityBytes)
    if (this.#waiting.length > 0 || this.#takenBytes + bytes > this.#capacityBytes) await this.#turn(bytes, signal)
    else this.#takenBytes += bytes
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#takenBytes -= bytes
      this.#admit()
    }
  }

  /** Waits in the queue. When it resolves, the memory is taken. */
  async #turn(bytes: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting: Waiting = { bytes, enter: resolve }
    const giveUp = (): void => {
      const at = this.#waiting.indexOf(waiting)
      if (at < 0) return
      this.#waiting.splice(at, 1)
      reject(new CallFault('broken', 'There was no memory for the answer beside the answers about other tasks.'))
      this.#admit()
    }
    this.#waiting.push(waiting)
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  #admit(): void {
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      if (this.#takenBytes + next.bytes > this.#capacityBytes) return
      this.#waiting.shift()
      this.#takenBytes += next.bytes
      next.enter()
    }
  }
}

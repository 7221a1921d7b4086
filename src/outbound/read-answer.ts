import { setImmediate } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import type { Headers } from '../domain/event.ts'
import type { CallResult } from '../domain/outbound.ts'
import type { AnswerRoom } from './answer-room.ts'
import { CallFault } from './call-fault.ts'
import type { CallTime } from './call-time.ts'
import { Outline } from './outline.ts'

/** Bytes of an answer that need no room of their own. */
const FREE_BYTES = 65_536
/** The call has more time after each so many bytes. */
const PROGRESS_BYTES = 262_144
/** Bytes that are gone through for an outline at once. */
const SLICE_BYTES = 262_144
/** An answer that is too long is followed for so many times its limit, for what stands behind what is too long. */
const MAX_FOLLOWED = 8
/** The longest that an answer waits for room; its task is asked for again. */
const MAX_ROOM_WAIT_MS = 60_000

export interface Reading {
  /** Of an answer that is kept whole. */
  readonly maxBytes: number
  /** Of a longer one its outline is wanted. */
  readonly outline: boolean
  readonly room: AnswerRoom
  readonly time: Pick<CallTime, 'progress' | 'stop'>
  readonly signal: AbortSignal
  /** What gives back the room that the answer takes. */
  readonly hold: DisposableStack
}

/**
 * The whole answer, of at most `maxBytes`, or its outline. Throws `CallFault` as soon as it is known to be longer, or
 * compressed, or where there is no outline; the connection is then gone.
 */
export async function readAnswer(answer: Dispatcher.ResponseData, reading: Reading): Promise<CallResult> {
  const { statusCode, headers, body } = answer
  // It is destroyed where reading stops early, and says so once more to whoever listens.
  body.on('error', () => {})
  if (![undefined, '', 'identity'].includes(joined(headers['content-encoding'])?.toLowerCase())) {
    body.destroy()
    throw new CallFault('broken', 'The answer came compressed, though it was asked for as it is.')
  }
  const announced = Number(joined(headers['content-length']) ?? Number.NaN)
  const came = await new AnswerReader(reading, announced).read(body as AsyncIterable<Buffer>)
  return { ok: true, status: statusCode, headers: flat(headers), ...came }
}

class AnswerReader {
  readonly #reading: Reading
  /** Bytes, as far as the provider says. */
  readonly #announced: number
  #chunks: Buffer[] = []
  /**
   * Of a long one: filled as it comes, since to join it at the end would take long at once, and shared, so that the threads that
   * read and keep it need no copy.
   */
  #whole: Buffer | undefined
  #bytes = 0
  #progressAt = PROGRESS_BYTES
  #outline: Outline | undefined
  /** Gone through since others had their turn. */
  #sliceBytes = 0
  #giveBack: (() => void) | undefined

  constructor(reading: Reading, announced: number) {
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

  /** False: no more is needed. */
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
    if (this.#bytes > FREE_BYTES && this.#giveBack === undefined) await this.#takeRoom()
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
    this.#giveBack?.()
    return this.#follow(chunk)
  }

  /** After each slice others have their turn: a connection may bring megabytes at once. */
  async #follow(chunk: Buffer): Promise<boolean> {
    const goesOn = this.#outline?.push(chunk) === true && this.#bytes <= this.#reading.maxBytes * MAX_FOLLOWED
    this.#sliceBytes += chunk.length
    if (this.#sliceBytes < SLICE_BYTES) return goesOn
    this.#sliceBytes = 0
    await setImmediate()
    return goesOn
  }

  /** Once for the whole answer: who holds a part and waits for more would keep others waiting for ever. */
  async #takeRoom(): Promise<void> {
    const { maxBytes, room, time, signal, hold } = this.#reading
    const bytes = Number.isSafeInteger(this.#announced) ? this.#announced : maxBytes
    time.stop()
    this.#giveBack = await room.take(bytes, AbortSignal.any([signal, AbortSignal.timeout(MAX_ROOM_WAIT_MS)]))
    hold.defer(this.#giveBack)
    time.progress()
    this.#fill(bytes)
  }

  /** No more can come: of what is announced the connection counts it. Only what is filled takes memory. */
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

const flat = (headers: Dispatcher.ResponseData['headers']): Headers =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, joined(value)]))

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value

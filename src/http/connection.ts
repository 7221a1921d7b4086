import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import {
  LINGER_BYTES,
  LINGER_MS,
  MAX_UNANSWERED_REQUESTS,
  PARSE_SLICE_BYTES,
  SMALL_READ_BYTES,
} from '../domain/limits.ts'
import type { Share } from './arriving.ts'

/** Where connections wait to be parsed further. */
export interface Queue {
  /** Other connections of this peer wait already. */
  readonly isBusy: (peer: string) => boolean
  /** Has `run` called in this peer's turn. Idempotent. */
  readonly wait: (connection: Connection) => void
  /** Monotonic milliseconds at which work that begins now has to end. */
  readonly endsAt: () => number
  /** This peer's connections are spared no longer. */
  readonly suspect: (peer: string) => void
  /** A share of what may wait to be parsed over all connections; `giveUp` as of `Arriving`. */
  readonly open: (peer: string, giveUp: () => void) => Share
  readonly now: () => number
}

/**
 * Stands between a socket and Node's HTTP parser, once it is guarded. The parser works through all that it is given at once, some 64 KiB,
 * and in one-byte chunks or pipelined requests that is tens of milliseconds; so it is given slices, and what is left
 * waits for the next turn. Nothing more is read meanwhile: at most two reads of a connection wait. A body of declared
 * length is no work, whatever its size, and is passed on as it came.
 */
export class Connection {
  readonly peer: string
  readonly #socket: Socket
  readonly #queue: Queue
  readonly #push: Socket['push']
  readonly #read: (size: number) => void
  readonly #destroySoon: () => void
  /** What came and was not parsed yet. */
  #waiting: Buffer | undefined
  #share: Share | undefined
  #isGuarded = false
  #hasEnded = false
  #wantsMore = false
  /** Of a body of declared length, at least so many bytes still come. */
  #declaredBytes = 0
  #latest: IncomingMessage | undefined
  /** What had been read when the latest request was found. */
  #latestAtBytes = 0
  #unanswered = 0
  #isStopped = false
  #lingeringBytes: number | undefined

  constructor(socket: Socket, peer: string, queue: Queue) {
    this.peer = peer
    this.#socket = socket
    this.#queue = queue
    this.#push = socket.push.bind(socket)
    this.#read = socket._read.bind(socket)
    this.#destroySoon = socket.destroySoon.bind(socket)
    socket.push = (chunk) => this.#arrived(chunk)
    socket._read = (size) => this.#asked(size)
    socket.destroySoon = () => this.#end()
    socket.on('resume', () => this.#goOn())
    socket.once('close', () => this.#keep(undefined))
  }

  get isLingering(): boolean {
    return this.#lingeringBytes !== undefined
  }

  get owesOne(): boolean {
    return this.#unanswered === 1
  }

  /** Has all that comes pass through here: until then Node's parser reads from the socket itself. Idempotent. */
  guard(): void {
    if (this.#isGuarded) return
    this.#isGuarded = true
    // Node leaves the socket to its parser only as long as nothing else has ever listened for the data.
    this.#socket.on('data', ignore).off('data', ignore)
  }

  /** The parser has found a request, which ends where its answer does. */
  requested(request: IncomingMessage, answer: ServerResponse): void {
    this.#latest = request
    this.#unanswered++
    if (!this.#isGuarded) this.#watch()
    answer.once('close', () => {
      this.#unanswered--
      if (!isBounded(request)) this.linger()
      this.#goOn()
    })
  }

  /**
   * Half-closes the connection and passes over what still comes, within bounds: closing at once would reset it, and take
   * the answer with it before the sender has read that.
   */
  linger(): void {
    const socket = this.#socket
    if (this.isLingering || socket.destroyed) return
    this.stop()
    this.#lingeringBytes = 0
    socket.on('error', () => socket.destroy())
    if (this.#hasEnded) {
      this.#destroySoon()
      return
    }
    socket.end()
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(timer))
    this.#read(0)
  }

  /** What came was more work than a few requests are: this peer's connections are spared no longer. */
  suspect(): void {
    if (!this.#isGuarded) this.#queue.suspect(this.peer)
  }

  /** Parses nothing more, and reads nothing more until it lingers. */
  stop(): void {
    this.suspect()
    this.#isStopped = true
    this.#keep(undefined)
  }

  /** Parses for as long as its turn lasts. Returns whether there is more to parse at once. */
  run(endsAtMs: number): boolean {
    while (this.#mayGoOn()) {
      this.#parse(this.#nextSlice())
      if (this.#queue.now() >= endsAtMs) break
    }
    if (this.#mayGoOn()) return true
    this.#drained()
    return false
  }

  /** Of a connection that takes no turns: one read may hold hundreds of requests, if they do not wait for answers. */
  #watch(): void {
    const { bytesRead } = this.#socket
    if (bytesRead === this.#latestAtBytes || this.#unanswered > MAX_UNANSWERED_REQUESTS) this.suspect()
    this.#latestAtBytes = bytesRead
  }

  #arrived(chunk: Buffer | null): boolean {
    if (this.#lingeringBytes !== undefined) return this.#passOver(chunk)
    if (this.#isStopped) return false
    if (chunk !== null && chunk.length <= SMALL_READ_BYTES && this.#isIdle()) {
      this.#parse(chunk)
      return this.#wantsMore && !this.#isStopped
    }
    if (chunk === null) this.#hasEnded = true
    else this.#keep(this.#waiting === undefined ? chunk : Buffer.concat([this.#waiting, chunk]))
    if (this.#mayGoOn() && this.#queue.isBusy(this.peer)) this.#queue.wait(this)
    else if (this.run(this.#queue.endsAt())) this.#queue.wait(this)
    return this.#waiting === undefined && this.#wantsMore && !this.#isStopped
  }

  #passOver(chunk: Buffer | null): boolean {
    if (chunk === null) this.#destroySoon()
    else this.#lingeringBytes = (this.#lingeringBytes ?? 0) + chunk.length
    return (this.#lingeringBytes ?? 0) < LINGER_BYTES
  }

  /** Node asks for more whenever the parser has been given something. */
  #asked(size: number): void {
    this.#wantsMore = true
    if (this.#waiting === undefined && !this.#isStopped) this.#read(size)
  }

  /** Most requests are one small read of a connection that waits for nothing. */
  #isIdle(): boolean {
    return this.#waiting === undefined && this.#unanswered === 0 && !this.#queue.isBusy(this.peer)
  }

  #goOn(): void {
    if (this.#mayGoOn()) this.#queue.wait(this)
  }

  #mayGoOn(): boolean {
    const { readableFlowing, destroyed } = this.#socket
    return (
      this.#waiting !== undefined &&
      !destroyed &&
      readableFlowing === true &&
      this.#unanswered < MAX_UNANSWERED_REQUESTS
    )
  }

  #nextSlice(): Buffer {
    const waiting = this.#waiting as Buffer
    const bytes = Math.max(PARSE_SLICE_BYTES, this.#declaredBytes)
    if (bytes < waiting.length) this.#waiting = waiting.subarray(bytes)
    else this.#keep(undefined)
    return waiting.subarray(0, bytes)
  }

  /** Of what waits, all of the memory is held until the last byte is parsed. */
  #keep(waiting: Buffer | undefined): void {
    this.#share?.release()
    this.#share = undefined
    this.#waiting = waiting
    if (waiting === undefined) return
    this.#share = this.#queue.open(this.peer, () => {
      this.stop()
      this.#socket.destroy()
    })
    this.#share.hold(waiting.length)
  }

  #parse(slice: Buffer): void {
    const before = this.#latest
    this.#declaredBytes = Math.max(0, this.#declaredBytes - slice.length)
    this.#wantsMore = this.#push(slice)
    const latest = this.#latest
    if (latest !== undefined && latest !== before)
      this.#declaredBytes = Math.max(0, (declaredBytes(latest) ?? 0) - slice.length)
  }

  /** Everything is parsed: the end of what the sender sends is told, or more is read. */
  #drained(): void {
    if (this.#waiting !== undefined || this.#isStopped) return
    if (this.#hasEnded) this.#push(null)
    else if (this.#wantsMore) this.#read(0)
  }

  #end(): void {
    if (this.#latest?.complete === true && this.#waiting === undefined) this.#destroySoon()
    else this.linger()
  }
}

const ignore = (): void => {}

function declaredBytes({ headers }: IncomingMessage): number | undefined {
  const declared = headers['content-length']
  return declared === undefined ? undefined : Number(declared)
}

/** Whether what may still come of a request is so little that it is read to its end, and the connection kept. */
export function isBounded(request: IncomingMessage): boolean {
  if (request.complete) return true
  if (request.headers['transfer-encoding'] !== undefined) return false
  return (declaredBytes(request) ?? 0) <= LINGER_BYTES
}

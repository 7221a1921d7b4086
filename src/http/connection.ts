import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import {
  LINGER_BYTES,
  LINGER_MS,
  MAX_UNANSWERED_REQUESTS,
  PARSE_SLICE_BYTES,
  SMALL_READ_BYTES,
} from '../domain/limits.ts'
import type { BudgetShare } from './read-budget.ts'

/** Decides when a connection whose bytes wait is parsed further. */
export interface Scheduler {
  /** Whether other connections of this peer are waiting. */
  readonly isBusy: (peer: string) => boolean
  /** Calls `run` of the connection in its peer's turn. Idempotent. */
  readonly wait: (connection: Connection) => void
  /** When a turn that begins now ends, in monotonic milliseconds. */
  readonly endsAt: () => number
  /** Guards all connections of this peer. */
  readonly suspect: (peer: string) => void
  /** Opens a share of the budget for bytes of all connections that wait to be parsed; `evict` as in `ReadBudget`. */
  readonly open: (peer: string, evict: () => void) => BudgetShare
  readonly now: () => number
}

/**
 * Once it is guarded, passes the bytes of a socket to Node's HTTP parser. The parser parses all that it gets in one go, up to
 * 64 KiB, which takes tens of milliseconds if these are one-byte chunks or pipelined requests. So a guarded connection gives the
 * parser slices, and the other bytes wait for the next turn. Meanwhile the connection is not read: at most two reads wait. A body of
 * declared length costs the parser little, whatever its size, and is passed on without slicing.
 */
export class Connection {
  readonly peer: string
  readonly #socket: Socket
  readonly #queue: Scheduler
  readonly #push: Socket['push']
  readonly #read: (size: number) => void
  readonly #destroySoon: () => void
  /** Bytes that have arrived and are not parsed yet. */
  #waiting: Buffer | undefined
  #share: BudgetShare | undefined
  #isGuarded = false
  #hasEnded = false
  #wantsMore = false
  /** At least this many bytes of a body of declared length are still to come. */
  #declaredBytes = 0
  #latest: IncomingMessage | undefined
  /** The socket's `bytesRead` when the parser found the latest request. */
  #latestAtBytes = 0
  #unanswered = 0
  #isStopped = false
  #lingeringBytes: number | undefined

  constructor(socket: Socket, peer: string, queue: Scheduler) {
    this.peer = peer
    this.#socket = socket
    this.#queue = queue
    this.#push = socket.push.bind(socket)
    this.#read = socket._read.bind(socket)
    this.#destroySoon = socket.destroySoon.bind(socket)
    socket.push = (chunk) => this.#arrived(chunk)
    socket._read = (size) => this.#readMore(size)
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

  /** From now on every byte passes through this object; before that, Node's parser reads from the socket itself. Idempotent. */
  guard(): void {
    if (this.#isGuarded) return
    this.#isGuarded = true
    // Node's parser reads from the socket itself only as long as the socket never had a listener for `data`.
    this.#socket.on('data', ignore).off('data', ignore)
  }

  /** Called when the parser has found a request. The request counts as unanswered until its answer is closed. */
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
   * Half-closes the connection and discards the bytes that still arrive, within bounds. Closing it at once would reset it, and the
   * sender could lose the answer before reading it.
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

  /** Called when this connection has made more work than ordinary requests do: guards all connections of its peer. */
  suspect(): void {
    if (!this.#isGuarded) this.#queue.suspect(this.peer)
  }

  /** From now on nothing is parsed; nothing is read either, until `linger`. */
  stop(): void {
    this.suspect()
    this.#isStopped = true
    this.#keep(undefined)
  }

  /** Parses until the turn ends. Returns whether more bytes can be parsed at once. */
  run(endsAtMs: number): boolean {
    while (this.#mayGoOn()) {
      this.#parse(this.#nextSlice())
      if (this.#queue.now() >= endsAtMs) break
    }
    if (this.#mayGoOn()) return true
    this.#drained()
    return false
  }

  /** Suspects an unguarded connection with several requests in one read, or too many unanswered ones: it may send hundreds. */
  #watch(): void {
    const { bytesRead } = this.#socket
    if (bytesRead === this.#latestAtBytes || this.#unanswered > MAX_UNANSWERED_REQUESTS) this.suspect()
    this.#latestAtBytes = bytesRead
  }

  #arrived(chunk: Buffer | null): boolean {
    if (this.#lingeringBytes !== undefined) return this.#discard(chunk)
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

  #discard(chunk: Buffer | null): boolean {
    if (chunk === null) this.#destroySoon()
    else this.#lingeringBytes = (this.#lingeringBytes ?? 0) + chunk.length
    return (this.#lingeringBytes ?? 0) < LINGER_BYTES
  }

  /** Node calls this for more bytes after each piece that the parser was given. */
  #readMore(size: number): void {
    this.#wantsMore = true
    if (this.#waiting === undefined && !this.#isStopped) this.#read(size)
  }

  /** Most requests are one small read of an idle connection. */
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

  /** A slice keeps the memory of the whole read: the share is released only when the last byte is parsed. */
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

  /** Once all bytes are parsed: passes on the end of the stream, or reads more. */
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

/** Whether so few bytes of a request can still come that the service reads them to the end and keeps the connection. */
export function isBounded(request: IncomingMessage): boolean {
  if (request.complete) return true
  if (request.headers['transfer-encoding'] !== undefined) return false
  return (declaredBytes(request) ?? 0) <= LINGER_BYTES
}

import type { Worker } from 'node:worker_threads'
import type { Clock } from '../../domain/clock.ts'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import { AppendQueue } from '../shared/append-queue.ts'
import { EndedTaskListeners } from '../shared/ended-tasks.ts'
import { MAX_WAITING_SCANS, TOO_MANY_SCANS } from '../shared/scan.ts'
import { watchClock } from './clock.ts'
import type { ProcessLock } from './process-lock.ts'
import { ThreadCalls, WriterMailbox } from './thread-calls.ts'
import { WireBatches } from './thread-event.ts'
import {
  type Call,
  canBeHeld,
  type FromReader,
  type FromWriter,
  isReplies,
  type ReaderOperations,
  type WriterOperations,
} from './thread-messages.ts'

export interface SqliteStoreOptions {
  readonly clock: Clock
  readonly monotonicMs: () => number
  readonly onLog: StoreLog
}

const unavailable = (message: string): HoldfastError => new HoldfastError('unavailable', message)

interface Threads {
  readonly writer: Worker
  readonly reader: Worker
  readonly startScanner: () => Worker
}

/** The threads of the embedded store: sends them calls and batches, returns their replies, and ends with them. */
export class StoreThreads {
  readonly #loss = Promise.withResolvers<Error>()
  readonly lost = this.#loss.promise
  readonly #writer: Worker
  readonly #reader: Worker
  readonly #mailbox = new WriterMailbox((messages, buffers) => this.#writer.postMessage(messages, buffers))
  readonly #release: () => void
  readonly clock: Clock
  readonly log: StoreLog
  readonly endedTasks = new EndedTaskListeners((level, message) => this.log(level, message))
  #lastId = 0
  readonly #nextId = () => ++this.#lastId
  readonly #batches = new WireBatches(
    (batch) => this.#mailbox.post({ kind: 'append', batch, nowMs: this.clock() }),
    this.#nextId,
  )
  readonly appends = new AppendQueue(
    (batch) => this.#batches.write(batch),
    (ended) => this.endedTasks.notify(ended),
  )
  readonly writes = new ThreadCalls<WriterOperations>(
    (call) => this.#post(call as Call<WriterOperations>),
    this.#nextId,
  )
  readonly reads = new ThreadCalls<ReaderOperations>((call) => this.#reader.postMessage(call), this.#nextId)
  readonly #scans = new ThreadCalls<ReaderOperations>(
    (call) => this.#startedScanner().postMessage(call),
    this.#nextId,
    MAX_WAITING_SCANS,
    TOO_MANY_SCANS,
  )
  readonly #startScanner: () => Worker
  #scanner: Worker | undefined
  #scannerEnded: Promise<unknown> = Promise.resolve()
  readonly #closed = Promise.withResolvers<void>()
  readonly #writerEnded: Promise<unknown>
  readonly #readerEnded: Promise<unknown>
  #faults: readonly string[] = []
  #warnings: readonly string[] = []
  #ended: string | undefined
  #closing: Promise<void> | undefined

  /** `startScanner` starts another reader. */
  constructor({ writer, reader, startScanner }: Threads, { release, taken }: ProcessLock, options: SqliteStoreOptions) {
    this.#writer = writer
    this.#reader = reader
    this.#startScanner = startScanner
    this.#release = release
    void taken.then((reason) => this.#lose(reason))
    this.clock = watchClock(options.clock, options.monotonicMs, (jump) => {
      // If this fails, the leases end too early, and their deliveries run once more.
      void this.writes.call('shiftLeases', jump).catch(() => {})
    })
    this.log = options.onLog
    this.#writerEnded = new Promise((ended) => writer.once('exit', ended))
    this.#readerEnded = new Promise((ended) => reader.once('exit', ended))
    writer.on('message', (message: FromWriter) => this.#receive(message))
    reader.on('message', (reply: FromReader) => this.#answerRead(reply, this.reads))
    for (const [name, thread] of Object.entries({ writer, reader })) {
      thread.on('error', (error) => this.#lose(`the store's ${name} thread failed: ${messageOf(error)}`))
      thread.on('exit', (code) => this.#lose(`the store's ${name} thread ended with code ${code}`))
    }
  }

  /** Reads that may take seconds, in a thread of their own, which starts with the first one. */
  scans(): StoreThreads['reads'] {
    return this.#scans
  }

  #startedScanner(): Worker {
    if (this.#scanner !== undefined) return this.#scanner
    const scanner = this.#startScanner()
    this.#scanner = scanner
    const lose = (reason: string): void => {
      if (this.#scanner === scanner) this.#scanner = undefined
      this.#scans.failAll(unavailable(reason))
    }
    scanner.on('message', (reply: FromReader) => this.#answerRead(reply, this.#scans))
    scanner.on('error', (error) => lose(`the search failed: ${messageOf(error)}`))
    this.#scannerEnded = new Promise((ended) =>
      scanner.once('exit', (code) => {
        lose('the search ended')
        ended(code)
      }),
    )
    return scanner
  }

  #answerRead(reply: FromReader, calls: StoreThreads['reads']): void {
    if ('kind' in reply) return
    if ('failed' in reply && reply.failed.isDamage) this.#mailbox.post({ kind: 'damaged' })
    calls.answer(reply)
  }

  faults(): readonly string[] {
    if (this.#ended !== undefined) return [this.#ended]
    return [...this.#faults, ...this.appends.faults()]
  }

  warnings(): readonly string[] {
    return this.#warnings
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // The writer of a lost store is not asked to close, because it would write to files that may belong to another process by
    // now.
    if (this.#ended !== undefined)
      await Promise.all([this.#writer.terminate(), this.#reader.terminate(), this.#scanner?.terminate()])
    else await this.#closeThreads()
    await Promise.all([this.#writerEnded, this.#readerEnded, this.#scannerEnded])
    this.#fail('the store is closed')
    this.#release()
  }

  async #closeThreads(): Promise<void> {
    this.appends.flush()
    this.#ended = 'the store is closed'
    this.#mailbox.post({ kind: 'close' })
    await this.#closed.promise
    this.#reader.postMessage('close')
    this.#scanner?.postMessage('close')
  }

  refusing(): Promise<never> | undefined {
    return this.#ended === undefined ? undefined : Promise.reject(unavailable(this.#ended))
  }

  #post(call: Call<WriterOperations>): void {
    if (call.name === 'settle' && call.args[0].every(canBeHeld)) this.#mailbox.hold({ kind: 'call', call })
    else if (call.name === 'recordStats' || call.name === 'saveShape') this.#mailbox.ride({ kind: 'call', call })
    else this.#mailbox.post({ kind: 'call', call })
  }

  #receive(message: FromWriter): void {
    if (isReplies(message)) {
      for (const reply of message.replies) {
        if (!this.#batches.answer(reply)) this.writes.answer(reply)
      }
    } else if (message.kind === 'faults') {
      this.#faults = message.faults
      if (message.faults.length === 0) this.log('info', 'the store takes events again')
      for (const fault of message.faults) this.log('error', `the store refuses events: ${fault}`)
    } else if (message.kind === 'warnings') {
      this.#warnings = message.warnings
      if (message.news !== undefined) this.log('error', message.news)
    } else if (message.kind === 'log') this.log(message.level, message.message)
    else if (message.kind === 'lost') this.#lose(message.message)
    else if (message.kind === 'closed') this.#closed.resolve()
  }

  #lose(reason: string): void {
    this.#closed.resolve()
    if (this.#closing !== undefined || this.#ended !== undefined) return
    this.#ended = reason
    this.log('error', reason)
    this.#fail(reason)
    this.#loss.resolve(new Error(reason))
  }

  #fail(reason: string): void {
    const error = unavailable(reason)
    this.#batches.failAll(error)
    this.appends.failGathered(error)
    this.writes.failAll(error)
    this.reads.failAll(error)
    this.#scans.failAll(error)
  }
}

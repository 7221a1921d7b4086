import { SHARE_ENV, Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import { isSaid, logLines } from '../thread-lines.ts'
import type { Answer, FromThread, Question, ThreadData } from './messages.ts'

/** Bytes that wait to be read; past it, `unavailable`. */
const MAX_WAITING_BYTES = 128 * 1024 * 1024
/** The longest that the reading of one body may take: a provider's module may hang. */
const MAX_READING_MS = 10_000
/** The same until the thread has started. */
const MAX_START_MS = 15_000
/** A thread that has nothing to read ends after so long: most services never need one. */
const IDLE_MS = 60_000
/** A body of 64 MiB, parsed. */
const MAX_HEAP_MB = 2_048

interface Waiting {
  readonly provider: string
  /** Made when it is sent: what the thread knows by then need not be told. */
  readonly question: (thread: object) => Question
  readonly body: Uint8Array
  /** It was being read when its thread ended, perhaps by what an earlier one had left behind there. */
  readonly isSecondTry?: boolean
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** The thread that reads long bodies, one at a time and in order. A body that ends it, or hangs in it, fails alone. */
export class BodyThread {
  readonly #data: ThreadData
  readonly #log: Logger
  readonly #maxReadingMs: number
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  #current: Waiting | undefined
  #worker: Worker | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(data: ThreadData, log: Logger, maxReadingMs = MAX_READING_MS) {
    this.#data = data
    this.#log = log
    this.#maxReadingMs = maxReadingMs
  }

  /** Rejects with `unavailable` where too much waits, and with an ordinary error where this body cannot be read. */
  ask(provider: string, question: Waiting['question'], body: Uint8Array): Promise<Answer> {
    if (this.#waitingBytes + body.length > MAX_WAITING_BYTES)
      return Promise.reject(new HoldfastError('unavailable', 'too many long bodies are waiting to be read'))
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#waitingBytes += body.length
    this.#waiting.push({ provider, question, body, resolve, reject })
    this.#next()
    return promise
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    const gone = new HoldfastError('unavailable', 'the service is stopping')
    const worker = this.#worker
    this.#worker = undefined
    for (const { reject } of this.#waiting.splice(0)) reject(gone)
    this.#current?.reject(gone)
    await worker?.terminate()
  }

  #next(): void {
    if (this.#current !== undefined) return
    this.#current = this.#waiting.shift()
    clearTimeout(this.#timer)
    if (this.#current === undefined) {
      this.#timer = setTimeout(() => this.#end(), IDLE_MS).unref()
      return
    }
    if (this.#worker === undefined) this.#start()
    else this.#send(this.#worker, this.#current)
  }

  #send(worker: Worker, { provider, question, body: bytes }: Waiting): void {
    // The bytes themselves are still to be kept: where they are not shared, a copy goes over.
    const isShared = bytes.buffer instanceof SharedArrayBuffer
    const body = isShared ? bytes : new Uint8Array(bytes)
    worker.ref()
    worker.postMessage({ provider, question: question(worker), body }, isShared ? [] : [body.buffer as ArrayBuffer])
    this.#within(this.#maxReadingMs)
  }

  #within(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#settle(({ reject }) => reject(new Error(`it took more than ${ms} ms`)), true)
    }, ms)
  }

  #start(): void {
    const worker = new Worker(new URL('./thread.ts', import.meta.url), {
      name: 'holdfast-reading',
      workerData: this.#data,
      // Without the flags of whatever runs this process; provider modules may read the environment.
      execArgv: [],
      env: SHARE_ENV,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    })
    worker.on('message', (message: FromThread) => {
      if (worker !== this.#worker || isSaid(message)) return
      if ('ready' in message) {
        if (this.#current !== undefined) this.#send(worker, this.#current)
        return
      }
      this.#settle(({ resolve, reject }) => {
        if ('failed' in message) reject(new Error(message.failed))
        else resolve(message.value)
      }, false)
    })
    logLines(worker, this.#log, { provider: this.#current?.provider })
    const lost = (code?: string): void => {
      if (worker === this.#worker) this.#isLost(code)
    }
    worker.on('error', ({ code, name }: NodeJS.ErrnoException) => lost(code ?? name))
    worker.on('exit', () => lost())
    this.#worker = worker
    this.#within(MAX_START_MS)
  }

  #isLost(code?: string): void {
    const current = this.#current
    if (current === undefined || current.isSecondTry === true || code === 'ERR_WORKER_OUT_OF_MEMORY') {
      const reason = `the thread that read it ended${code === undefined ? '' : ` (${code})`}`
      this.#settle(({ reject }) => reject(new Error(reason)), true)
      return
    }
    this.#current = undefined
    this.#waiting.unshift({ ...current, isSecondTry: true })
    this.#end()
    this.#next()
  }

  #settle(how: (waiting: Waiting) => void, isThreadLost: boolean): void {
    const current = this.#current
    this.#current = undefined
    if (isThreadLost) this.#end()
    else this.#worker?.unref()
    if (current !== undefined) {
      this.#waitingBytes -= current.body.length
      how(current)
    }
    this.#next()
  }

  #end(): void {
    const worker = this.#worker
    this.#worker = undefined
    void worker?.terminate()
  }
}

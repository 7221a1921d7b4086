import { getCompileCacheDir } from 'node:module'
import { deserialize } from 'node:v8'
import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import { Unread } from '../domain/readers.ts'
import { isSaid, logLines } from '../thread-lines.ts'
import type { FromReader, ReaderCall } from './calls.ts'

/** What one call may take; a reader's work is a matter of microseconds. */
const MAX_READING_MS = 2_000
/** What a thread may take until it has loaded its module. */
const MAX_START_MS = 10_000
/** After a start that failed, no other is tried for so long. */
const START_PAUSE_MS = 1_000
/** Calls that wait for their turn. */
const MAX_WAITING = 1_024
const MAX_HEAP_MIB = 256

const STOPPED = 'is not read any more: the service stops'
const UNLOADABLE = 'cannot be loaded in a thread'

interface Job {
  readonly call: ReaderCall
  /** It was being read when its thread ended, perhaps by what an earlier call had left behind there. */
  readonly isSecondTry?: boolean
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export interface ReaderThreadOptions {
  /** The provider's name, for messages. */
  readonly provider: string
  /** File URL of its module. */
  readonly module: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  /** For tests. */
  readonly maxReadingMs?: number
}

/**
 * The thread in which the code of one provider module reads. It has one call at a time, so that a call which does not end is
 * known; its thread is then ended and replaced, and the calls behind it go on. What blocks in native code is left behind.
 */
export class ReaderThread {
  readonly #options: ReaderThreadOptions
  readonly #waiting: Job[] = []
  #current: Job | undefined
  #worker: Worker | undefined
  #isReady = false
  #timer: NodeJS.Timeout | undefined
  #failedAtMs = Number.NEGATIVE_INFINITY
  #wasToldOf = false
  #isClosed = false

  constructor(options: ReaderThreadOptions) {
    this.#options = options
    this.#start()
  }

  /** Rejects with `Unread`, or with `unavailable` where nobody can read it now. */
  read(call: ReaderCall): Promise<unknown> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(this.#unavailable('has too much to read'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject })
      this.#next()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const worker = this.#drop()
    this.#refuseAll(STOPPED)
    await worker?.terminate()
  }

  #next(): void {
    if (this.#current !== undefined || this.#waiting.length === 0) return
    if (this.#worker === undefined) this.#start()
    if (!this.#isReady) return
    this.#current = this.#waiting.shift()
    this.#worker?.postMessage(this.#current?.call)
    this.#within(this.#options.maxReadingMs ?? MAX_READING_MS, () => this.#isOverdue())
  }

  #start(): void {
    const isTooSoon = performance.now() - this.#failedAtMs < START_PAUSE_MS
    if (this.#isClosed || isTooSoon) {
      this.#refuseAll(this.#isClosed ? STOPPED : UNLOADABLE)
      return
    }
    const { provider, module, environment, log } = this.#options
    const cache = getCompileCacheDir()
    const worker = new Worker(new URL('./thread.ts', import.meta.url), {
      name: `holdfast-reader-${provider}`,
      workerData: { module },
      execArgv: [],
      env: { ...environment, ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }) },
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    })
    worker.unref()
    worker.on('message', (message: FromReader) => {
      if (worker === this.#worker && !isSaid(message)) this.#hear(message)
    })
    logLines(worker, log, { provider, module })
    // Its end follows, which tells as much.
    worker.on('error', () => {})
    worker.on('exit', () => {
      if (worker === this.#worker) this.#isGone()
    })
    this.#worker = worker
    this.#within(MAX_START_MS, () => this.#isGone())
  }

  #hear(message: FromReader): void {
    clearTimeout(this.#timer)
    if (message.kind === 'ready') this.#isReady = true
    else {
      const job = this.#current
      this.#current = undefined
      if (message.kind === 'read') job?.resolve(deserialize(message.result))
      else if (message.kind === 'failed')
        job?.reject(this.#unread(`could not read it (${message.error})`, message.words))
      else job?.reject(this.#unread(`made more of it than ${job.call.maxValues} values or ${job.call.maxBytes} bytes`))
    }
    this.#next()
  }

  #isOverdue(): void {
    const { maxReadingMs = MAX_READING_MS } = this.#options
    this.#tell('a provider module did not end reading: its thread is replaced', { deadline_ms: maxReadingMs })
    this.#replace(`took longer than ${maxReadingMs} ms to read it`)
  }

  /** It has ended, or does not start. */
  #isGone(): void {
    this.#tell('the thread that reads for a provider module has ended')
    if (this.#isReady) {
      const job = this.#current
      if (job !== undefined && job.isSecondTry !== true) {
        this.#waiting.unshift({ ...job, isSecondTry: true })
        this.#current = undefined
      }
      this.#replace('ended the thread that reads it')
      return
    }
    this.#failedAtMs = performance.now()
    void this.#drop()?.terminate()
    this.#refuseAll(UNLOADABLE)
  }

  /** Once; each event that it costs says so itself. */
  #tell(message: string, about: object = {}): void {
    const { provider, module, log } = this.#options
    log[this.#wasToldOf ? 'debug' : 'warn']({ provider, module, ...about }, message)
    this.#wasToldOf = true
  }

  #replace(reason: string): void {
    const job = this.#current
    void this.#drop()?.terminate()
    job?.reject(this.#unread(reason))
    this.#start()
  }

  /** Nothing of it is heard any more. */
  #drop(): Worker | undefined {
    const worker = this.#worker
    clearTimeout(this.#timer)
    this.#worker = undefined
    this.#isReady = false
    this.#current = undefined
    return worker
  }

  #refuseAll(why: string): void {
    for (const { reject } of this.#waiting.splice(0)) reject(this.#unavailable(why))
  }

  /** What has come by then is heard first, however busy this thread was. */
  #within(ms: number, expire: () => void): void {
    clearTimeout(this.#timer)
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (this.#timer === timer) expire()
      })
    }, ms).unref()
    this.#timer = timer
  }

  #unread = (reason: string, words?: string): Unread =>
    new Unread(`provider ${this.#options.provider} ${reason}`, words === undefined ? {} : { cause: words })

  #unavailable = (why: string): HoldfastError =>
    new HoldfastError('unavailable', `provider ${this.#options.provider} ${why}`)
}

import { Worker, type WorkerOptions } from 'node:worker_threads'
import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import { logLines } from './thread-lines.ts'

/** After a start that failed, no other is tried for so long. */
const START_PAUSE_MS = 1_000

const BUSY = 'has too much to read'
const UNSTARTABLE = 'does not start'
const STOPPED = 'reads no more: the service stops'

/** A job that a thread is given, and what it takes up while it waits (`ThreadOptions.maxWaiting`). */
export interface Job {
  readonly size: number
  /** Made when it is sent, once for each try: what goes over, and what of it is not to be copied. */
  readonly message: (worker: Worker) => { readonly message: unknown; readonly transferred?: readonly ArrayBuffer[] }
}

/** A job took too long, or ended its thread: twice, or once by its memory. It alone is at fault. `code`: what ended the thread, where that is known. */
export class ThreadFault extends Error {
  override readonly name = 'ThreadFault'
  readonly kind: 'late' | 'ended'
  readonly code: string | undefined

  constructor(kind: 'late' | 'ended', code?: string) {
    super(kind)
    this.kind = kind
    this.code = code
  }
}

export interface ThreadOptions {
  /** Says `READY`, and then answers each job (`Numbered`) with its number (`Answered`). */
  readonly script: URL
  readonly worker: WorkerOptions
  readonly maxStartMs: number
  readonly maxWorkMs: number
  /** Sizes of all jobs that it has or will have, together. */
  readonly maxWaiting: number
  /** It begins with the first job, and ends when it has had none for so long. Absent: it begins at once, and stays; one that has ended begins anew with the next job. */
  readonly idleMs?: number
  /** Takes what users' code writes to the console in it. */
  readonly log: Logger
  /** Whose code that is. */
  readonly about: object
  /** For messages: `has too much to read`, `does not start` and the like follow. */
  readonly name: string
  /** The thread is gone, or never was. */
  readonly onLost?: (fault: ThreadFault) => void
}

interface Waiting<Answer> {
  readonly job: Job
  /** The thread ended while it was worked on, perhaps by what an earlier one had left behind there. */
  readonly isSecondTry?: boolean
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/**
 * A thread that is given one job at a time, in order, so that a job which does not end is known: the thread is then ended and
 * replaced, and the jobs behind it go on. What blocks in native code is left behind. Keeps no process alive.
 */
export class SupervisedThread<Answer> {
  readonly #options: ThreadOptions
  readonly #waiting: Waiting<Answer>[] = []
  #size = 0
  #current: Waiting<Answer> | undefined
  /** Of the job that was sent last. */
  #number = 0
  #worker: Worker | undefined
  #isReady = false
  #timer: NodeJS.Timeout | undefined
  #failedAtMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(options: ThreadOptions) {
    this.#options = options
    if (options.idleMs === undefined) this.#start()
  }

  /** Rejects with `ThreadFault`, or with `unavailable` where nobody can do it now. */
  run(job: Job): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    if (this.#size + job.size > this.#options.maxWaiting) return Promise.reject(this.#unavailable(BUSY))
    this.#size += job.size
    this.#waiting.push({ job, resolve, reject })
    this.#next()
    return promise
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const current = this.#current
    const worker = this.#drop()
    this.#reject(current, this.#unavailable(STOPPED))
    this.#refuseAll(STOPPED)
    await worker?.terminate()
  }

  #next(): void {
    if (this.#current !== undefined) return
    const { idleMs, maxWorkMs } = this.#options
    if (this.#waiting.length === 0) {
      if (this.#isReady && idleMs !== undefined) this.#within(idleMs, () => void this.#drop()?.terminate())
      return
    }
    if (this.#worker === undefined) this.#start()
    const worker = this.#worker
    if (!this.#isReady || worker === undefined) return
    this.#current = this.#waiting.shift()
    this.#within(maxWorkMs, () => this.#isLost(new ThreadFault('late')))
    const sent = this.#current?.job.message(worker)
    if (sent === undefined) return
    const numbered: Numbered<unknown> = { number: ++this.#number, message: sent.message }
    worker.postMessage(numbered, [...(sent.transferred ?? [])])
  }

  #start(): void {
    const isTooSoon = performance.now() - this.#failedAtMs < START_PAUSE_MS
    if (this.#isClosed || isTooSoon) {
      this.#refuseAll(this.#isClosed ? STOPPED : UNSTARTABLE)
      return
    }
    const { script, worker: options, log, about, maxStartMs } = this.#options
    // Without the flags of whatever runs this process.
    const worker = new Worker(script, { execArgv: [], ...options })
    worker.unref()
    worker.on('message', (message: unknown) => {
      if (worker === this.#worker) this.#hear(message)
    })
    logLines(worker, log, about)
    const lost = (code?: string): void => {
      if (worker === this.#worker) this.#isLost(new ThreadFault('ended', code))
    }
    worker.on('error', (thrown: unknown) => lost(codeOf(thrown)))
    worker.on('exit', () => lost())
    this.#worker = worker
    this.#within(maxStartMs, () => this.#isLost(new ThreadFault('ended')))
  }

  /** Nothing but what it waits for: users' code may say more. */
  #hear(message: unknown): void {
    const current = this.#current
    if (!this.#isReady) {
      if (message !== READY) return
      this.#stopTimer()
      this.#isReady = true
    } else {
      if (current === undefined || !isAnswer<Answer>(message, this.#number)) return
      this.#stopTimer()
      this.#current = undefined
      this.#size -= current.job.size
      current.resolve(message.answer)
    }
    this.#next()
  }

  #isLost(fault: ThreadFault): void {
    this.#options.onLost?.(fault)
    const isStarted = this.#isReady
    const current = this.#current
    void this.#drop()?.terminate()
    if (!isStarted) {
      this.#failedAtMs = performance.now()
      this.#refuseAll(UNSTARTABLE)
      return
    }
    const mayBeOfAnother = fault.kind === 'ended' && fault.code !== 'ERR_WORKER_OUT_OF_MEMORY'
    if (current !== undefined && mayBeOfAnother && current.isSecondTry !== true)
      this.#waiting.unshift({ ...current, isSecondTry: true })
    else this.#reject(current, fault)
    // Else with the next job: one that ends as soon as it has begun is not begun again and again.
    if (this.#waiting.length > 0) this.#start()
  }

  /** Nothing of it is heard any more. */
  #drop(): Worker | undefined {
    const worker = this.#worker
    this.#stopTimer()
    this.#worker = undefined
    this.#isReady = false
    this.#current = undefined
    return worker
  }

  #refuseAll(why: string): void {
    for (const waiting of this.#waiting.splice(0)) this.#reject(waiting, this.#unavailable(why))
  }

  #reject(waiting: Waiting<Answer> | undefined, error: Error): void {
    if (waiting === undefined) return
    this.#size -= waiting.job.size
    waiting.reject(error)
  }

  #unavailable = (why: string): HoldfastError => new HoldfastError('unavailable', `${this.#options.name} ${why}`)

  /** What has come by then is heard first, however busy this thread was. */
  #within(ms: number, expire: () => void): void {
    this.#stopTimer()
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (this.#timer === timer) expire()
      })
    }, ms).unref()
    this.#timer = timer
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

const isAnswer = <Answer>(message: unknown, number: number): message is Answered<Answer> =>
  typeof message === 'object' &&
  message !== null &&
  'answer' in message &&
  'number' in message &&
  message.number === number

/** Users' code may throw anything. */
function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  return 'code' in thrown ? String(thrown.code) : thrown.name
}

/** The first word of each thread. */
export const READY = 'ready'

/** What a thread is given, one at a time. */
export interface Numbered<Message> {
  readonly number: number
  readonly message: Message
}

/** What it gives back, with the number of what it was given: users' code in it may say anything to the service, at any time. */
export interface Answered<Answer> {
  readonly number: number
  readonly answer: Answer
}

import { Worker, type WorkerOptions } from 'node:worker_threads'
import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import { type HeapLimits, watchHeap } from './heap-watch.ts'
import { logLines } from './thread-lines.ts'

/** How long to wait after a failed start before the next one. */
const START_PAUSE_MS = 1_000

const BUSY = 'has too much to read'
const UNSTARTABLE = 'does not start'
const STOPPED = 'has stopped, because the service stops'

/** A job for a thread; `size`: how much of `ThreadOptions.maxWaiting` it takes until it is done. */
export interface ThreadJob {
  readonly size: number
  /** Makes the message, once per try, and names the buffers that are transferred and not copied. */
  readonly message: (worker: Worker) => { readonly message: unknown; readonly transferred?: readonly ArrayBuffer[] }
}

/**
 * A job took too long; or the thread ended during the job, twice, or once for lack of memory. So this job is at fault, and not
 * an earlier one. `code`: the code of the error that ended the thread, if it is known.
 */
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

interface ThreadOptions {
  /** The script posts `READY`, and then answers each job (`Numbered`) with the job's number (`Answered`). */
  readonly script: URL
  readonly worker: WorkerOptions
  readonly heap: HeapLimits
  readonly maxStartMs: number
  readonly maxWorkMs: number
  /** The largest sum of the sizes of all jobs that run or wait; beyond it `run` rejects with `unavailable`. */
  readonly maxWaiting: number
  /**
   * The thread starts with the first job, and ends after this time without a job. If absent, the thread starts at once and
   * stays; if it ends by itself, the next job starts it again.
   */
  readonly idleMs?: number
  /** Receives what users' code writes to the console in the thread. */
  readonly log: Logger
  /** Fields of those log lines that say whose code wrote them. */
  readonly about: object
  /** The subject of messages, which go on with `has too much to read`, `does not start` or the like. */
  readonly name: string
  /** Called when the thread has ended or could not start. */
  readonly onLost?: (fault: ThreadFault) => void
}

interface WaitingJob<Answer> {
  readonly job: ThreadJob
  /** The thread ended during the first try of this job, perhaps because of something that an earlier job left running. */
  readonly isSecondTry?: boolean
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/**
 * A thread that gets one job at a time, in order, so that the job that takes too long is known. The thread is then ended and
 * replaced, and the waiting jobs run in the new thread. A thread that blocks in native code is abandoned. The thread does not
 * keep the process alive.
 */
export class SupervisedThread<Answer> {
  readonly #options: ThreadOptions
  readonly #waiting: WaitingJob<Answer>[] = []
  #size = 0
  #current: WaitingJob<Answer> | undefined
  /** The number of the job that was sent last. */
  #number = 0
  #worker: Worker | undefined
  #isReady = false
  #timer: NodeJS.Timeout | undefined
  #unwatchHeap: (() => void) | undefined
  #failedAtMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(options: ThreadOptions) {
    this.#options = options
    if (options.idleMs === undefined) this.#start()
  }

  /** Rejects with `ThreadFault`, or with `unavailable` if too many jobs wait, the thread does not start, or the service stops. */
  run(job: ThreadJob): Promise<Answer> {
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
      this.#watchHeap('idle')
      return
    }
    if (this.#worker === undefined) this.#start()
    const worker = this.#worker
    if (!this.#isReady || worker === undefined) return
    this.#current = this.#waiting.shift()
    this.#within(maxWorkMs, () => this.#onLost(new ThreadFault('late')))
    this.#watchHeap('busy')
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
    const { script, worker: options, heap, log, about, maxStartMs } = this.#options
    const resourceLimits = { maxOldGenerationSizeMb: heap.limitMiB }
    // `execArgv` is empty: the flags of this process are not for the thread.
    const worker = new Worker(script, { execArgv: [], resourceLimits, ...options })
    worker.unref()
    worker.on('message', (message: unknown) => {
      if (worker === this.#worker) this.#receive(message)
    })
    logLines(worker, log, about)
    let code: string | undefined
    worker.on('error', (thrown: unknown) => {
      code = codeOf(thrown)
    })
    // Not at the error: the answers that the thread sent before may come after it, but they come before the exit.
    worker.on('exit', () => {
      if (worker === this.#worker) this.#onLost(new ThreadFault('ended', code))
    })
    this.#worker = worker
    this.#within(maxStartMs, () => this.#onLost(new ThreadFault('ended')))
    this.#watchHeap('busy')
  }

  /** Until the next job starts or ends. An earlier job may have filled the heap: a job that runs then has a second try. */
  #watchHeap(state: 'busy' | 'idle'): void {
    this.#unwatchHeap?.()
    if (this.#worker !== undefined)
      this.#unwatchHeap = watchHeap(this.#worker, this.#options.heap, state, () =>
        this.#onLost(new ThreadFault('ended')),
      )
  }

  /** Ignores messages that it does not expect: users' code may post any message. */
  #receive(message: unknown): void {
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

  #onLost(fault: ThreadFault): void {
    this.#options.onLost?.(fault)
    const isStarted = this.#isReady
    const current = this.#current
    void this.#drop()?.terminate()
    if (!isStarted) {
      this.#failedAtMs = performance.now()
      this.#refuseAll(UNSTARTABLE)
      return
    }
    const mayBeOfEarlierJob = fault.kind === 'ended' && fault.code !== 'ERR_WORKER_OUT_OF_MEMORY'
    if (current !== undefined && mayBeOfEarlierJob && current.isSecondTry !== true)
      this.#waiting.unshift({ ...current, isSecondTry: true })
    else this.#reject(current, fault)
    // If no jobs wait, the next job starts the thread: a thread that ends right after its start must not restart in a loop.
    if (this.#waiting.length > 0) this.#start()
  }

  /** Forgets the thread, so that its later messages are ignored. */
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

  #reject(waiting: WaitingJob<Answer> | undefined, error: Error): void {
    if (waiting === undefined) return
    this.#size -= waiting.job.size
    waiting.reject(error)
  }

  #unavailable = (why: string): HoldfastError => new HoldfastError('unavailable', `${this.#options.name} ${why}`)

  /**
   * Calls `expire` after this time, unless the timer is stopped or set again. Messages that arrived in time are handled first,
   * even if this thread was too busy to handle them then.
   */
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
    this.#unwatchHeap?.()
    this.#unwatchHeap = undefined
  }
}

const isAnswer = <Answer>(message: unknown, number: number): message is Answered<Answer> =>
  typeof message === 'object' &&
  message !== null &&
  'answer' in message &&
  'number' in message &&
  message.number === number

/** Users' code may throw any value. */
function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  return 'code' in thrown ? String(thrown.code) : thrown.name
}

/** The first message of each thread. */
export const READY = 'ready'

/** A message to a thread, one at a time. */
export interface Numbered<Message> {
  readonly number: number
  readonly message: Message
}

/** A thread's answer, with the number of its message: users' code in the thread may post any message to the service at any time. */
export interface Answered<Answer> {
  readonly number: number
  readonly answer: Answer
}

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { AttemptOutcome, Work } from '../domain/delivery.ts'
import { messageOf } from '../domain/errors.ts'
import type { HandlerRegistration } from '../domain/handler.ts'
import type { FromThread, Job, JobResult, ThreadLoading, ThreadStart, ToThread } from './protocol.ts'

/** Megabytes of JavaScript heap of one handler thread; past it the thread ends, and its attempts with it. */
const MAX_THREAD_HEAP_MB = 256
/** Megabytes of it for what is new; V8's own choice of 48 would be filled to the brim in every thread. */
const MAX_THREAD_NURSERY_MB = 6
/** Time for all handler modules to load. */
const LOAD_TIMEOUT_MS = 30_000
/** Time past a deadline after which a thread that has not even reported it is taken for stuck. */
const STUCK_AFTER_MS = 1_000

/** Time that a thread has for its last words when the service stops. */
const STOP_PATIENCE_MS = 100

/** How an attempt ended, its thread's own end included. `alone`: nothing else ran in the thread then. */
export type Ran =
  | JobResult
  | {
      readonly outcome: Extract<AttemptOutcome, 'process_lost'>
      readonly alone: boolean
      readonly error: string
      readonly startedAtMs: number
      readonly durationMs: number
    }

interface InFlight {
  readonly startedAtMs: number
  readonly resolve: (ran: Ran) => void
}

/** The modules cannot be loaded, or the thread ended while it loaded them. */
export class UnloadableError extends Error {
  override readonly name = 'UnloadableError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(faults.join('; '))
    this.faults = faults
  }
}

/**
 * One thread of user code, seen from outside. However it ends, every attempt in it is answered: `run` never rejects.
 * Ends for good; the pool starts another.
 */
export class HandlerThread {
  /** Resolves with what the modules registered; rejects with `UnloadableError`. */
  readonly ready: Promise<readonly HandlerRegistration[]>
  /** Resolves with the reason when the thread is gone. */
  readonly gone: Promise<string>

  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #inFlight = new Map<number, InFlight>()
  #outbox: Job[] = []
  #nextKey = 0
  #overdue = 0
  #isGone = false
  #fault: string | undefined

  constructor(data: ThreadLoading, onRoom: () => void) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: { ...data, port: port2 } satisfies ThreadStart,
      transferList: [port2],
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: MAX_THREAD_HEAP_MB, maxYoungGenerationSizeMb: MAX_THREAD_NURSERY_MB },
      name: 'holdfast-handlers',
    })
    const { promise: ready, resolve, reject } = Promise.withResolvers<readonly HandlerRegistration[]>()
    ready.catch(() => {})
    this.ready = ready
    let loading = data.handlersDir
    const slow = setTimeout(() => this.end(`it did not load within ${LOAD_TIMEOUT_MS} ms`), LOAD_TIMEOUT_MS)
    void ready.finally(() => clearTimeout(slow)).catch(() => {})

    const hear = (message: FromThread): void => {
      if (message.kind === 'results') {
        this.#overdue = message.overdue
        for (const { key, result } of message.results) this.#answer(key, result)
        onRoom()
      } else if (message.kind === 'loading') loading = message.file
      else if (message.kind === 'ready') resolve(message.registrations)
      else if (message.kind === 'stopped') this.end('the service stopped')
      else {
        reject(new UnloadableError(message.faults))
        this.end('its modules cannot be loaded')
      }
    }
    this.#port.on('message', hear)
    this.#worker.on('error', (error) => {
      this.#fault = `the handler thread ended: ${messageOf(error)}`
    })
    this.gone = new Promise((gone) => {
      this.#worker.on('exit', (code) => {
        for (let last = receiveMessageOnPort(port1); last !== undefined; last = receiveMessageOnPort(port1)) {
          hear(last.message as FromThread)
        }
        port1.close()
        this.#isGone = true
        this.#fault ??= `the handler thread exited with code ${code}`
        reject(new UnloadableError([`handler module ${loading}: ${this.#fault}`]))
        this.#loseAll()
        gone(this.#fault)
      })
    })
  }

  /** Attempts in it, and handlers that have outlived theirs. */
  get load(): number {
    return this.#inFlight.size + this.#overdue
  }

  get overdue(): number {
    return this.#overdue
  }

  run(work: Work, startedAtMs: number, timeoutMs: number): Promise<Ran> {
    const { promise, resolve } = Promise.withResolvers<Ran>()
    const key = this.#nextKey++
    this.#inFlight.set(key, { startedAtMs, resolve })
    if (this.#isGone) {
      this.#loseAll()
      return promise
    }
    if (this.#outbox.length === 0) setImmediate(() => this.#post())
    this.#outbox.push({ key, work, deadlineAtMs: startedAtMs + timeoutMs })
    return promise
  }

  /** Ends the thread if an attempt's deadline is long past and the thread has not said so: its loop is blocked. */
  endIfStuck(nowMs: number, timeoutMs: number): void {
    for (const { startedAtMs } of this.#inFlight.values()) {
      if (nowMs > startedAtMs + timeoutMs + STUCK_AFTER_MS) {
        this.end('a handler held its thread past the deadline')
        return
      }
    }
  }

  abortAll(): void {
    this.#port.postMessage({ kind: 'abort' } satisfies ToThread)
  }

  /** Lets it write out its log, if it can, and ends it. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#port.postMessage({ kind: 'stop' } satisfies ToThread)
    const late = setTimeout(() => this.end('the service stopped'), STOP_PATIENCE_MS)
    await this.gone
    clearTimeout(late)
  }

  end(fault: string): void {
    this.#fault ??= fault
    void this.#worker.terminate()
  }

  /** One message for all attempts of one turn of the loop. */
  #post(): void {
    const jobs = this.#outbox
    this.#outbox = []
    this.#port.postMessage(
      { kind: 'jobs', jobs } satisfies ToThread,
      jobs.map(({ work }) => work.body.buffer),
    )
  }

  #answer(key: number, ran: Ran): void {
    const inFlight = this.#inFlight.get(key)
    this.#inFlight.delete(key)
    inFlight?.resolve(ran)
  }

  #loseAll(): void {
    const alone = this.#inFlight.size === 1 && this.#overdue === 0
    for (const [key, { startedAtMs }] of this.#inFlight) {
      this.#answer(key, {
        outcome: 'process_lost',
        alone,
        error: this.#fault ?? 'the handler thread ended',
        startedAtMs,
        durationMs: Date.now() - startedAtMs,
      })
    }
  }
}

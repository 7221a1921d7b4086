import type { Logger } from 'pino'
import type { Work } from '../domain/delivery.ts'
import { messageOf } from '../domain/errors.ts'
import type { HandlerRegistration } from '../domain/handler.ts'
import { HandlerThread, type Ran } from './handler-thread.ts'
import type { ThreadData } from './protocol.ts'

/** How often threads are looked at for handlers that hold them past the deadline. */
const SWEEP_INTERVAL_MS = 250
/** Wait before a thread that could not load is started again; doubles up to the cap. */
const RESTART_BASE_MS = 100
const RESTART_CAP_MS = 10_000

export interface PoolOptions {
  readonly data: ThreadData
  readonly threads: number
  /** Attempts in each thread at once. */
  readonly concurrency: number
  readonly timeoutMs: number
  readonly log: Logger
}

/** A place for a thread, which outlives the threads in it. */
interface Slot {
  readonly concurrency: number
  thread: HandlerThread | undefined
  up: boolean
  /** Too many of its handlers have outlived their deadline: it takes no more, and ends when the others are done. */
  retiring: boolean
  failures: number
}

/**
 * The handler threads: some that deliveries share, and one in which those run alone whose last attempt was lost with its
 * thread, so that a poisonous event takes nothing with it twice.
 */
export class HandlerPool {
  /** Called whenever room may have appeared. */
  onRoom: () => void = () => {}

  readonly #options: PoolOptions
  readonly #shared: readonly Slot[]
  readonly #isolated: Slot
  #sweep: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    const slot = (concurrency: number): Slot => ({
      concurrency,
      thread: undefined,
      up: false,
      retiring: false,
      failures: 0,
    })
    this.#shared = Array.from({ length: options.threads }, () => slot(options.concurrency))
    this.#isolated = slot(1)
  }

  /** Starts the shared threads and gives what the handler modules registered. Rejects with `UnloadableError`. */
  async start(): Promise<readonly HandlerRegistration[]> {
    const [registrations] = await Promise.all(this.#shared.map((slot) => this.#open(slot).ready))
    this.#sweep = setInterval(() => this.#endStuck(), SWEEP_INTERVAL_MS).unref()
    return registrations ?? []
  }

  /** Attempts that could start now. */
  room(): { readonly shared: number; readonly isolated: number } {
    const { thread } = this.#isolated
    return {
      shared: this.#shared.reduce((sum, slot) => sum + roomIn(slot), 0),
      isolated: thread === undefined ? 1 : roomIn(this.#isolated),
    }
  }

  /** Runs one attempt where it belongs. Never rejects: a lost thread is an outcome. */
  async run(work: Work): Promise<Ran> {
    const slot = work.isolated ? this.#isolated : this.#roomiest()
    const thread = slot.thread ?? this.#open(slot)
    // A thread that cannot load answers for what is sent to it by going.
    if (!slot.up) await thread.ready.catch(() => {})
    return thread.run(work, Date.now(), this.#options.timeoutMs)
  }

  /** Tells all running handlers, by their signal, that the service stops. */
  abort(): void {
    for (const { thread } of this.#slots()) thread?.abortAll()
  }

  /** Ends all threads; what still ran is answered as lost. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweep)
    await Promise.all(this.#slots().map(async ({ thread }) => thread?.stop()))
  }

  #slots(): readonly Slot[] {
    return [...this.#shared, this.#isolated]
  }

  #roomiest(): Slot {
    return this.#shared.reduce((best, slot) => (roomIn(slot) > roomIn(best) ? slot : best))
  }

  #open(slot: Slot): HandlerThread {
    // While the service starts nobody waits for an acknowledgement, and everything waits for these.
    const isHurried = this.#sweep === undefined
    const thread = new HandlerThread({ ...this.#options.data, isHurried }, () => {
      this.#retire(slot)
      this.onRoom()
    })
    Object.assign(slot, { thread, up: false, retiring: false })
    thread.ready.then(
      () => {
        Object.assign(slot, { up: true, failures: 0 })
        this.onRoom()
      },
      (error) => {
        slot.failures++
        if (!this.#closed) this.#options.log.error({ error: messageOf(error) }, 'a handler thread could not start')
      },
    )
    void thread.gone.then((fault) => this.#reopen(slot, fault))
    return thread
  }

  #reopen(slot: Slot, fault: string): void {
    if (slot.up && !this.#closed) this.#options.log.warn({ error: fault }, 'a handler thread is replaced')
    Object.assign(slot, { thread: undefined, up: false })
    if (this.#closed) return
    if (slot === this.#isolated) {
      this.onRoom()
      return
    }
    const delayMs = slot.failures === 0 ? 0 : Math.min(RESTART_CAP_MS, RESTART_BASE_MS * 2 ** slot.failures)
    setTimeout(() => {
      if (!this.#closed && slot.thread === undefined) this.#open(slot)
    }, delayMs).unref()
  }

  #retire(slot: Slot): void {
    const { thread, concurrency } = slot
    if (thread === undefined) return
    if (thread.overdue * 2 >= concurrency && thread.overdue > 0) slot.retiring = true
    if (slot.retiring && thread.load === thread.overdue) thread.end('its handlers outlived their deadlines')
  }

  #endStuck(): void {
    const nowMs = Date.now()
    for (const { thread } of this.#slots()) thread?.endIfStuck(nowMs, this.#options.timeoutMs)
  }
}

const roomIn = ({ up, retiring, thread, concurrency }: Slot): number =>
  up && !retiring && thread !== undefined ? Math.max(0, concurrency - thread.load) : 0

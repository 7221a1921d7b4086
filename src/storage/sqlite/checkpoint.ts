import { once } from 'node:events'
import type { DatabaseSync } from 'node:sqlite'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { CheckpointData, Checkpointed, ToCheckpointThread } from './checkpoint-thread.ts'
import { isFatal } from './errors.ts'

/** The write-ahead log is brought into the database when this much of it is not. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024
/** Written, about, between two looks at the log's length. */
const LOOK_BYTES = 1024 * 1024
const FRAME_HEADER_BYTES = 24
/** The thread does nothing that makes garbage. */
const MAX_YOUNG_GENERATION_MIB = 1

/**
 * Brings the write-ahead log into the database: most of it in a thread of its own, so that commits go on, and the rest
 * between two commits, so that the log can start over. Its calls throw what SQLite throws, here or in the thread.
 *
 * After a failed fsync nothing is brought over any more: the next one might succeed falsely, and the log be overwritten.
 */
export class Checkpointer {
  /** Its thread has the files open; no call is to be made before. */
  readonly opened: Promise<void>
  readonly #thread: Worker
  readonly #port: MessagePort
  readonly #pageBytes: number
  readonly #measure
  readonly #passive
  readonly #truncate
  #isRunning = false
  #isFailed = false
  #unseenBytes = 0

  /** `guarded` runs what comes of the thread's answers while no commit does. `onLost` is told that the thread is gone. */
  constructor(db: DatabaseSync, path: string, guarded: (run: () => void) => void, onLost: (error: Error) => void) {
    this.#pageBytes = Number(db.prepare('PRAGMA page_size').get()?.page_size)
    // NOOP (SQLite 3.51) only tells how long the log is.
    this.#measure = db.prepare('PRAGMA wal_checkpoint(NOOP)')
    this.#passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
    this.#truncate = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#thread = new Worker(new URL('./checkpoint-thread.ts', import.meta.url), {
      name: 'holdfast-log',
      workerData: { path, port: port2 } satisfies CheckpointData,
      transferList: [port2],
      resourceLimits: { maxYoungGenerationSizeMb: MAX_YOUNG_GENERATION_MIB },
    })
    this.#thread.on('error', onLost)
    this.opened = once(this.#port, 'message').then(() => {
      this.#port.on('message', (answer: Checkpointed) => guarded(() => this.#finish(answer)))
    })
  }

  /**
   * To be called after each commit. With less than `reserveBytes` of log left to bring over at any time: where that is
   * little, commits wait.
   */
  ifDue(writtenBytes: number, reserveBytes: number): void {
    if (this.#isFailed) return
    const limitBytes = Math.min(CHECKPOINT_BYTES, reserveBytes)
    this.#unseenBytes += writtenBytes
    if (this.#isRunning) this.#listen()
    else if (this.#unseenBytes >= Math.min(LOOK_BYTES, limitBytes / 4)) {
      this.#unseenBytes = 0
      if (this.#logBytes() < limitBytes) return
      if (limitBytes < CHECKPOINT_BYTES) this.#passive.get()
      else this.#start()
    }
  }

  /** Brings over what there is, and gives the log's space back; not while the thread is at it. */
  truncate(): void {
    if (!this.#isRunning && !this.#isFailed) this.#truncate.get()
  }

  /** Waits for the thread to end. */
  async close(): Promise<void> {
    const ended = once(this.#thread, 'exit')
    this.#port.postMessage('close' satisfies ToCheckpointThread)
    await ended
    this.#listen()
  }

  #start(): void {
    this.#isRunning = true
    this.#port.postMessage('start' satisfies ToCheckpointThread)
  }

  #listen(): void {
    const answer = receiveMessageOnPort(this.#port)
    if (answer !== undefined) this.#finish(answer.message as Checkpointed)
  }

  #finish(answer: Checkpointed): void {
    this.#isRunning = false
    if (answer.ok) {
      this.#passive.get()
      return
    }
    const error = Object.assign(new Error(answer.message), { errcode: answer.errcode })
    this.#isFailed = isFatal(error)
    throw error
  }

  #logBytes(): number {
    const state = this.#measure.get()
    return (Number(state?.log) - Number(state?.checkpointed)) * (this.#pageBytes + FRAME_HEADER_BYTES)
  }
}

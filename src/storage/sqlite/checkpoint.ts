import { once } from 'node:events'
import type { DatabaseSync } from 'node:sqlite'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { CheckpointData, CheckpointResult, ToCheckpointThread } from './checkpoint-thread.ts'
import { isFatal } from './errors.ts'
import { FRAME_HEADER_BYTES } from './wal-sync.ts'

/** A checkpoint starts when this much of the write-ahead log is not in the database yet. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024
/** About how much is written between two measurements of the log. */
const LOOK_BYTES = 1024 * 1024
/** The thread does nothing that makes garbage. */
const MAX_YOUNG_GENERATION_MIB = 1

/**
 * Copies the write-ahead log into the database: most of it in a thread of its own, so that commits go on, and the rest between
 * two commits, so that the log can start over. Calls throw the errors of SQLite, raised here or in the thread.
 *
 * After a failed fsync there are no more checkpoints: a later fsync might report success falsely, and SQLite would overwrite
 * the log.
 */
export class Checkpointer {
  /** Resolves once the thread has the files open. No method may be called before. */
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

  /** `guarded` runs the end of a checkpoint while no commit runs. `onLost` is called if the thread is gone. */
  constructor(db: DatabaseSync, path: string, guarded: (run: () => void) => void, onLost: (error: Error) => void) {
    this.#pageBytes = Number(db.prepare('PRAGMA page_size').get()?.page_size)
    // NOOP (SQLite 3.51) only measures the log.
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
      this.#port.on('message', (answer: CheckpointResult) => guarded(() => this.#finish(answer)))
    })
  }

  /**
   * To be called after each commit. Keeps the part of the log that is not in the database yet below `reserveBytes`; if
   * `reserveBytes` is small, commits wait for the checkpoint.
   */
  ifDue(writtenBytes: number, reserveBytes: number): void {
    if (this.#isFailed) return
    const limitBytes = Math.min(CHECKPOINT_BYTES, reserveBytes)
    this.#unseenBytes += writtenBytes
    if (this.#isRunning) this.#receive()
    else if (this.#unseenBytes >= Math.min(LOOK_BYTES, limitBytes / 4)) {
      this.#unseenBytes = 0
      if (this.#logBytes() < limitBytes) return
      if (limitBytes < CHECKPOINT_BYTES) this.#passive.get()
      else this.#start()
    }
  }

  /** A full checkpoint that cuts the log to nothing; does nothing while the thread is at work. */
  truncate(): void {
    if (!this.#isRunning && !this.#isFailed) this.#truncate.get()
  }

  /** Waits for the thread to end. */
  async close(): Promise<void> {
    const ended = once(this.#thread, 'exit')
    this.#port.postMessage('close' satisfies ToCheckpointThread)
    await ended
    this.#receive()
  }

  #start(): void {
    this.#isRunning = true
    this.#port.postMessage('start' satisfies ToCheckpointThread)
  }

  #receive(): void {
    const answer = receiveMessageOnPort(this.#port)
    if (answer !== undefined) this.#finish(answer.message as CheckpointResult)
  }

  #finish(answer: CheckpointResult): void {
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

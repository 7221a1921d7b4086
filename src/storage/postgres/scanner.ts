import { SHARE_ENV, Worker } from 'node:worker_threads'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { PostgresTarget } from '../shared/database-url.ts'
import { MAX_WAITING_SCANS, type ScannedRows, TOO_MANY_SCANS } from '../shared/scan.ts'
import type { IndexBatch } from './payload-index.ts'
import type { ScanEvents } from './scan-events.ts'

/** Without `args`: the next batch for the index of values in payloads is to be read. */
export type ToScanThread = { readonly id: number; readonly args?: Parameters<ScanEvents> } | 'close'
export type FromScanThread =
  | { readonly id: number; readonly found: ScannedRows | IndexBatch | undefined }
  | { readonly id: number; readonly failed: string }

interface WaitingScan {
  readonly resolve: (found: never) => void
  readonly reject: (error: Error) => void
}

/** Runs scans in a thread, which starts with the first scan. */
export class Scanner {
  readonly #target: PostgresTarget
  readonly #waiting = new Map<number, WaitingScan>()
  #thread: Worker | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #lastId = 0

  constructor(target: PostgresTarget) {
    this.#target = target
  }

  scan: ScanEvents = (...args) => this.#ask<ScannedRows>(args)

  indexBatch = (): Promise<IndexBatch | undefined> => this.#ask(undefined)

  #ask<Found>(args: Parameters<ScanEvents> | undefined): Promise<Found> {
    if (this.#waiting.size >= MAX_WAITING_SCANS) return Promise.reject(new HoldfastError('unavailable', TOO_MANY_SCANS))
    const thread = (this.#thread ??= this.#start())
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      thread.postMessage({ id, ...(args !== undefined && { args }) } satisfies ToScanThread)
    })
  }

  async close(): Promise<void> {
    this.#thread?.postMessage('close' satisfies ToScanThread)
    await this.#ended
  }

  #start(): Worker {
    const thread = new Worker(new URL('./scan-thread.ts', import.meta.url), {
      name: 'holdfast-scan',
      workerData: { target: this.#target },
      execArgv: [],
      // With the variables from which PostgreSQL's clients read passwords.
      env: SHARE_ENV,
    })
    thread.on('message', (message: FromScanThread) => {
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if ('found' in message) waiting?.resolve(message.found as never)
      else waiting?.reject(new HoldfastError('unavailable', message.failed))
    })
    const lose = (reason: string) => {
      if (this.#thread === thread) this.#thread = undefined
      for (const { reject } of this.#waiting.values()) reject(new HoldfastError('unavailable', reason))
      this.#waiting.clear()
    }
    thread.on('error', (error) => lose(`the search failed: ${messageOf(error)}`))
    this.#ended = new Promise((ended) =>
      thread.on('exit', () => {
        lose('the search ended')
        ended(undefined)
      }),
    )
    return thread
  }
}

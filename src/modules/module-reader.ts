import { getCompileCacheDir } from 'node:module'
import { deserialize } from 'node:v8'
import type { Logger } from 'pino'
import { type ProviderReaders, UnreadError } from '../pipeline/provider-readers.ts'
import { SupervisedThread, ThreadFault } from '../threads/supervised-thread.ts'
import { MODULE_HEAP } from './load-modules.ts'

/** A call of a method of `ProviderReaders`, without the provider, which the thread knows. */
export interface ReaderCall {
  readonly name: keyof ProviderReaders
  readonly args: readonly unknown[]
  /** Bytes that the serialized result may take. */
  readonly maxBytes: number
  /** Values that the result may hold, as `hasMoreValues` counts them. */
  readonly maxValues: number
}

export type FromModuleThread =
  /** `result`: made by `v8.serialize`. */
  | { readonly kind: 'read'; readonly result: Uint8Array }
  /**
   * `error`: the name of the error only, because its message may hold a piece of a body. `message`: the message of the error,
   * if the call had no body.
   */
  | { readonly kind: 'failed'; readonly error: string; readonly message?: string }
  | { readonly kind: 'too_large' }

/** How long one call may take; normally it takes microseconds. */
const MAX_READING_MS = 2_000
/** How long a thread may take to load its module. */
const MAX_START_MS = 10_000
/** How many calls may wait. */
const MAX_WAITING = 1_024

export interface ModuleReaderOptions {
  /** The provider's name, for messages. */
  readonly provider: string
  /** File URL of its module. */
  readonly module: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  /** For tests. */
  readonly maxReadingMs?: number
}

/** Reads in a thread that runs the code of one provider module, and no other code. */
export class ModuleReader {
  readonly #options: ModuleReaderOptions
  readonly #maxReadingMs: number
  readonly #thread: SupervisedThread<FromModuleThread>
  #hasWarned = false

  constructor(options: ModuleReaderOptions) {
    const { provider, module, environment, log, maxReadingMs = MAX_READING_MS } = options
    const cache = getCompileCacheDir()
    this.#options = options
    this.#maxReadingMs = maxReadingMs
    this.#thread = new SupervisedThread({
      script: new URL('./module-thread.ts', import.meta.url),
      worker: {
        name: `holdfast-reader-${provider}`,
        workerData: { module },
        env: { ...environment, ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }) },
      },
      heap: MODULE_HEAP,
      maxStartMs: MAX_START_MS,
      maxWorkMs: maxReadingMs,
      maxWaiting: MAX_WAITING,
      log,
      about: { provider, module },
      name: `the reader of provider ${provider}`,
      onLost: (fault) => this.#warn(fault),
    })
  }

  /** Rejects with `UnreadError`, or with `unavailable` if the thread cannot run now. */
  async read(call: ReaderCall): Promise<unknown> {
    const answer = await this.#thread.run({ size: 1, message: () => ({ message: call }) }).catch((error: unknown) => {
      throw error instanceof ThreadFault ? this.#unread(this.#reasonOf(error)) : error
    })
    if (answer.kind === 'read') return deserialize(answer.result)
    if (answer.kind === 'failed') throw this.#unread(`could not read it (${answer.error})`, answer.message)
    throw this.#unread(`returned more than ${call.maxValues} values or ${call.maxBytes} bytes`)
  }

  close = (): Promise<void> => this.#thread.close()

  #reasonOf = ({ kind }: ThreadFault): string =>
    kind === 'late' ? `took longer than ${this.#maxReadingMs} ms to read it` : 'ended the thread that reads it'

  #unread = (reason: string, errorMessage?: string): UnreadError =>
    new UnreadError(
      `provider ${this.#options.provider} ${reason}`,
      errorMessage === undefined ? {} : { cause: errorMessage },
    )

  /** Warns only once, because each event that could not be read carries the reason itself. */
  #warn({ kind }: ThreadFault): void {
    const { provider, module, log } = this.#options
    const level = this.#hasWarned ? 'debug' : 'warn'
    this.#hasWarned = true
    if (kind !== 'late') log[level]({ provider, module }, 'the thread that reads for a provider module has ended')
    else
      log[level](
        { provider, module, deadline_ms: this.#maxReadingMs },
        'a provider module took too long to read: its thread is replaced',
      )
  }
}

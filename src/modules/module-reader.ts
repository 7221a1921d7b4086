import { getCompileCacheDir } from 'node:module'
import { deserialize } from 'node:v8'
import type { Logger } from 'pino'
import { Unread } from '../pipeline/provider-readers.ts'
import type { FromOwnThread, ReaderCall } from '../threads/messages.ts'
import { SupervisedThread, ThreadFault } from '../threads/supervised-thread.ts'

/** What one call may take; a reader's work is a matter of microseconds. */
const MAX_READING_MS = 2_000
/** What a thread may take until it has loaded its module. */
const MAX_START_MS = 10_000
/** Calls that wait for their turn. */
const MAX_WAITING = 1_024
const MAX_HEAP_MIB = 256

export interface OwnReaderOptions {
  /** The provider's name, for messages. */
  readonly provider: string
  /** File URL of its module. */
  readonly module: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  /** For tests. */
  readonly maxReadingMs?: number
}

/** Reads in a thread in which the code of one provider module runs, and nothing else. */
export class OwnReader {
  readonly #options: OwnReaderOptions
  readonly #maxReadingMs: number
  readonly #thread: SupervisedThread<FromOwnThread>
  #wasToldOf = false

  constructor(options: OwnReaderOptions) {
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
        resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
      },
      maxStartMs: MAX_START_MS,
      maxWorkMs: maxReadingMs,
      maxWaiting: MAX_WAITING,
      log,
      about: { provider, module },
      name: `the reader of provider ${provider}`,
      onLost: (fault) => this.#tell(fault),
    })
  }

  /** Rejects with `Unread`, or with `unavailable` where nobody can read it now. */
  async read(call: ReaderCall): Promise<unknown> {
    const heard = await this.#thread.run({ size: 1, message: () => ({ message: call }) }).catch((error: unknown) => {
      throw error instanceof ThreadFault ? this.#unread(this.#reasonOf(error)) : error
    })
    if (heard.kind === 'read') return deserialize(heard.result)
    if (heard.kind === 'failed') throw this.#unread(`could not read it (${heard.error})`, heard.words)
    throw this.#unread(`made more of it than ${call.maxValues} values or ${call.maxBytes} bytes`)
  }

  close = (): Promise<void> => this.#thread.close()

  #reasonOf = ({ kind }: ThreadFault): string =>
    kind === 'late' ? `took longer than ${this.#maxReadingMs} ms to read it` : 'ended the thread that reads it'

  #unread = (reason: string, words?: string): Unread =>
    new Unread(`provider ${this.#options.provider} ${reason}`, words === undefined ? {} : { cause: words })

  /** Once; each event that it costs says so itself. */
  #tell({ kind }: ThreadFault): void {
    const { provider, module, log } = this.#options
    const level = this.#wasToldOf ? 'debug' : 'warn'
    this.#wasToldOf = true
    if (kind !== 'late') log[level]({ provider, module }, 'the thread that reads for a provider module has ended')
    else
      log[level](
        { provider, module, deadline_ms: this.#maxReadingMs },
        'a provider module did not end reading: its thread is replaced',
      )
  }
}

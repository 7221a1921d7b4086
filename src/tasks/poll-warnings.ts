import type { Logger } from 'pino'
import type { LeasedTask } from '../domain/task.ts'
import type { PollResult } from './provider-calls.ts'

/** The most statuses of a source that are remembered as reported. */
const MAX_REPORTED_STATUSES = 100

/** Words by which APIs name the end of a task, in lower case and without other characters than letters. */
const END_WORDS: ReadonlySet<string> = new Set(
  `complete completed done success succeeded successful finished ended ok ready
  fail failed failure error errored rejected denied invalid timeout timedout expired
  cancel cancelled canceled abort aborted stopped terminated killed deleted closed`.split(/\s+/),
)

const soundsEnded = (status: string): boolean => END_WORDS.has(status.toLowerCase().replace(/[^a-z]/g, ''))

/** Warns the operator about answers to the polls of one source: once about each problem, not at each poll. */
export class PollWarnings {
  readonly #source: string
  readonly #log: Logger
  readonly #reportedStatuses = new Set<string>()
  #isKeyRefused = false

  constructor(source: string, log: Logger) {
    this.#source = source
    this.#log = log
  }

  /** Logs what the operator should know. Returns a warning that is to be stored with the task, or undefined. */
  check(task: LeasedTask, result: PollResult): string | undefined {
    this.#checkKey(result)
    if (result.outcome === 'pending') return this.#checkStatus(task, result.providerStatus)
    const about = { source: this.#source, task: task.id }
    if (result.outcome === 'too_large' && task.failures === 0)
      this.#log.warn({ ...about, error: result.error }, 'the answer about a task is too long to be read')
    if (result.outcome === 'terminal' && result.answer.truncated !== undefined)
      this.#log.warn(
        { ...about, limit_bytes: result.answer.truncated.limitBytes },
        'the answer that ends a task is longer than ANSWER_LIMIT_BYTES: its outline is kept',
      )
    return undefined
  }

  #checkKey(result: PollResult): void {
    const isRefused = result.outcome === 'unauthorized' && result.isProviderWide
    if (isRefused && !this.#isKeyRefused)
      this.#log.warn({ source: this.#source, error: result.error }, 'the provider refuses the key of this source')
    // Only an answer about a task shows that the provider accepts the key again.
    const isAccepted = result.outcome === 'pending' || result.outcome === 'terminal'
    if (isAccepted && this.#isKeyRefused)
      this.#log.info({ source: this.#source }, 'the provider accepts the key of this source again')
    this.#isKeyRefused = isRefused || (this.#isKeyRefused && !isAccepted)
  }

  /** Warns if two polls of a task in a row give the same status that sounds like an end, but the provider's module says `pending`. */
  #checkStatus({ id, providerStatus: before }: LeasedTask, status: string): string | undefined {
    if (status !== before || !soundsEnded(status)) return undefined
    if (!this.#reportedStatuses.has(status) && this.#reportedStatuses.size < MAX_REPORTED_STATUSES) {
      this.#reportedStatuses.add(status)
      this.#log.warn(
        { source: this.#source, task: id, word: status },
        'the provider keeps giving a task a status that sounds like an end, but its module does not know that status',
      )
    }
    return `the provider keeps giving the status ${JSON.stringify(status)}, which its module does not know as an end`
  }
}

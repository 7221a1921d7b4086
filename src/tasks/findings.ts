import type { Logger } from 'pino'
import type { LeasedTask } from '../domain/task.ts'
import type { Asked } from './ask.ts'

/** Words of a source that are remembered as told of. */
const MAX_TOLD_WORDS = 100

/** What APIs call the end of a task, in letters alone. */
const END_WORDS: ReadonlySet<string> = new Set(
  `complete completed done success succeeded successful finished ended ok ready
  fail failed failure error errored rejected denied invalid timeout timedout expired
  cancel cancelled canceled abort aborted stopped terminated killed deleted closed`.split(/\s+/),
)

const looksEnded = (word: string): boolean => END_WORDS.has(word.toLowerCase().replace(/[^a-z]/g, ''))

/** What the operator of a source should know of the answers to its polls: each thing is told once, not with each poll. */
export class Findings {
  readonly #source: string
  readonly #log: Logger
  readonly #toldWords = new Set<string>()
  #isKeyRefused = false

  constructor(source: string, log: Logger) {
    this.#source = source
    this.#log = log
  }

  /** Gives what is to be told with the task beside the provider's word, if anything. */
  of(task: LeasedTask, asked: Asked): string | undefined {
    this.#ofKey(asked)
    if (asked.outcome === 'pending') return this.#ofWord(task, asked.providerStatus)
    const about = { source: this.#source, task: task.id }
    if (asked.outcome === 'too_large' && task.failures === 0)
      this.#log.warn({ ...about, error: asked.error }, 'the answer about a task is too long to be read')
    if (asked.outcome === 'terminal' && asked.answer.truncated !== undefined)
      this.#log.warn(
        { ...about, limit_bytes: asked.answer.truncated.limitBytes },
        'the answer that ends a task is longer than ANSWER_LIMIT_BYTES: its outline is kept',
      )
    return undefined
  }

  #ofKey(asked: Asked): void {
    const isRefused = asked.outcome === 'unauthorized' && asked.isProviders
    if (isRefused && !this.#isKeyRefused)
      this.#log.warn({ source: this.#source, error: asked.error }, 'the provider refuses the key of this source')
    // Only an answer about a task tells that the key is taken again.
    const isTaken = asked.outcome === 'pending' || asked.outcome === 'terminal'
    if (isTaken && this.#isKeyRefused)
      this.#log.info({ source: this.#source }, 'the provider accepts the key of this source again')
    this.#isKeyRefused = isRefused || (this.#isKeyRefused && !isTaken)
  }

  /** A word that sounds like an end, said of a task at two polls in a row, and no end to the provider's module. */
  #ofWord({ id, providerStatus: before }: LeasedTask, word: string): string | undefined {
    if (word !== before || !looksEnded(word)) return undefined
    if (!this.#toldWords.has(word) && this.#toldWords.size < MAX_TOLD_WORDS) {
      this.#toldWords.add(word)
      this.#log.warn(
        { source: this.#source, task: id, word },
        'the provider keeps saying of a task what sounds like its end, and its module does not know it as one',
      )
    }
    return `the provider keeps saying ${JSON.stringify(word)}, which its module does not know as an end`
  }
}

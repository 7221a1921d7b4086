import type { Headers } from './event.ts'
import type { Source } from './source.ts'
import type { LeasedTask } from './task.ts'

/** The end of a task, as the provider told it when it was asked. */
export interface Answer {
  readonly headers: Headers
  /** The bytes as they came; of a truncated answer its outline. */
  readonly body: Buffer
  /** The answer was longer than this. */
  readonly truncated?: { readonly limitBytes: number }
}

/** What is known of a task at its deadline: the provider's own word, and what kept it from ending. */
export interface LastSaid {
  readonly word?: string | undefined
  readonly error?: string | undefined
}

/** `late`: the task had ended meanwhile, or somebody else holds it; nothing was kept. */
export type Recovered = 'kept' | 'late'

/**
 * The second door: makes an event of what Holdfast went and got, or of its having waited long enough, and ends the task
 * with it, in one transaction, under the lease. Rejects as `Store.append` does.
 */
export interface Recover {
  answered(source: Source, task: LeasedTask & { readonly id: string }, answer: Answer): Promise<Recovered>
  expired(source: Source, task: LeasedTask, last: LastSaid): Promise<Recovered>
}

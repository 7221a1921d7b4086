/** Of each task the store keeps so many questions, the last ones. */
export const MAX_QUESTIONS = 100

/** `submission`: the provider was asked to take the task. */
export const QUESTION_KINDS = ['poll', 'submission'] as const
export type QuestionKind = (typeof QUESTION_KINDS)[number]

/** Who asked the provider: the poller when the task was due, an operator who asked for a poll, or the caller who began the task. */
export const ASKERS = ['poller', 'operator', 'caller'] as const
export type Asker = (typeof ASKERS)[number]

/**
 * What came of a question:
 * - `pending`: the provider says that the task goes on, or has taken it;
 * - `ended`: the answer ended the task;
 * - `unusable`: there was no answer, or none that says anything about the task; the error says why.
 */
export const QUESTION_OUTCOMES = ['pending', 'ended', 'unusable'] as const
export type QuestionOutcome = (typeof QUESTION_OUTCOMES)[number]

/** That a provider was asked about a task. */
export interface Asked {
  readonly kind: QuestionKind
  readonly by: Asker
  /** Milliseconds since the epoch. */
  readonly atMs: number
  /** Until the answer was read, or there was none. A wait for the rate limit comes before the question. */
  readonly durationMs: number
}

/** That a provider was asked about a task, and what came of it. */
export interface Question extends Asked {
  readonly outcome: QuestionOutcome
  /** The provider's own status, as it answered; absent of a submission. */
  readonly providerStatus?: string
  /** Why there is no usable answer, why the provider refused the task, or what else was wrong. */
  readonly error?: string
}

import { MAX_QUESTIONS, type Question } from '../../domain/task-question.ts'
import type { TaskPostponement, TaskSubmission } from '../../domain/task-store.ts'

/** How both stores keep questions about tasks. */

/** The most characters of an error that are kept with a question. The task has the last error whole. */
const MAX_QUESTION_ERROR = 500

/** The keys of a task's questions begin at its own key times this number, which the migrations name, too. */
const PLACES = 128

export const firstQuestionKey = (task: number): number => task * PLACES
export const lastQuestionKey = (task: number): number => task * PLACES + PLACES - 1

/** Question `n` of a task takes the row of the one that is no longer kept because of it. */
export const questionKey = (task: number, n: number): number => firstQuestionKey(task) + (n % MAX_QUESTIONS)

export type QuestionRow = Readonly<{
  at: number
  duration_ms: number
  kind: Question['kind']
  asked_by: Question['by']
  outcome: Question['outcome']
  word: string | null
  error: string | null
}>

export const questionOf = ({ at, duration_ms, kind, asked_by, outcome, word, error }: QuestionRow): Question => ({
  kind,
  by: asked_by,
  atMs: at,
  durationMs: duration_ms,
  outcome,
  ...(word !== null && { providerStatus: word }),
  ...(error !== null && { error }),
})

/** A question on its way into the store; `at` is by the clock of this process. */
export const questionRow = ({ kind, by, atMs, durationMs, outcome, providerStatus, error }: Question): QuestionRow => ({
  at: Math.round(atMs),
  duration_ms: Math.max(0, Math.round(durationMs)),
  kind,
  asked_by: by,
  outcome,
  word: providerStatus ?? null,
  error: error?.slice(0, MAX_QUESTION_ERROR) ?? null,
})

/** The question that did not end its task; undefined: none was asked. */
export function postponedQuestion({ outcome }: TaskPostponement): Question | undefined {
  if (outcome?.asked === undefined) return undefined
  const { asked, providerStatus, error } = outcome
  return {
    ...asked,
    outcome: providerStatus === undefined ? 'unusable' : 'pending',
    ...(providerStatus !== undefined && { providerStatus }),
    ...(error !== undefined && { error }),
  }
}

/** The question by which a task was submitted. `fault`: why the task has failed; undefined: the provider has taken it. */
export const submittedQuestion = ({ asked }: TaskSubmission, fault: string | undefined): Question | undefined =>
  asked && {
    ...asked,
    outcome: fault === undefined ? 'pending' : 'ended',
    ...(fault !== undefined && { error: fault }),
  }

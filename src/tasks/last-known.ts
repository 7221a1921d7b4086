import type { ConnectedSource } from '../domain/source.ts'
import type { Asked, Question } from '../domain/task-question.ts'
import type { LastKnown } from '../pipeline/poll-answers.ts'
import { callableApi, type PollResult, whyNotCallable } from './provider-calls.ts'

/** One poll, and what came of it. */
export interface Polled {
  readonly result: PollResult
  readonly asked: Asked
}

/** The error of a task that was not polled at its deadline. */
export function whyNotPolled(source: ConnectedSource, isStale: boolean): string {
  if (callableApi(source) === undefined) return `its provider was not asked: ${whyNotCallable(source)}`
  return isStale
    ? 'the circuit breaker was open at its deadline, and its provider was not asked'
    : 'it was not stale at its deadline, and its provider was not asked'
}

/** What is known about a task that has expired. `ifNotPolled`: the error of a task that was not polled at its deadline. */
export function lastKnown(polled: Polled | undefined, warning: string | undefined, ifNotPolled: string): LastKnown {
  if (polled === undefined) return { error: ifNotPolled }
  const { result } = polled
  const question = questionOf(polled, warning)
  if ('error' in result) return { error: result.error, question }
  if (!('providerStatus' in result)) return {}
  return {
    providerStatus: result.providerStatus,
    error: warning ?? `at its deadline the provider said ${JSON.stringify(result.providerStatus)}`,
    question,
  }
}

/** A poll that did not end its task. */
function questionOf({ result, asked }: Polled, warning: string | undefined): Question {
  if ('error' in result) return { ...asked, outcome: 'unusable', error: result.error }
  const said = 'providerStatus' in result ? { providerStatus: result.providerStatus } : {}
  return { ...asked, outcome: 'pending', ...said, ...(warning !== undefined && { error: warning }) }
}

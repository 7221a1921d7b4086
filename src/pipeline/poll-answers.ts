import { type Clock, toIso } from '../domain/clock.ts'
import type { Headers, TaskLease } from '../domain/event.ts'
import type { Source } from '../domain/source.ts'
import { EXPIRED_TYPE, type LeasedTask } from '../domain/task.ts'
import type { Asked, Question } from '../domain/task-question.ts'
import type { SecretFilter } from '../log/redact.ts'
import type { BodyReader, RoutedEvent } from './body-reader.ts'
import { type Arrival, newEvent, type WriteEvent } from './event-writer.ts'
import type { ReadResult } from './read-event.ts'
import { expiryOf } from './read-poll-answer.ts'
import type { RouteResult } from './routes.ts'

const EXPIRY_HEADERS: Headers = { 'content-type': 'application/json' }

/** Headers of an answer that are stored. Other headers may repeat parts of the request, the API key for example. */
const KEPT_HEADERS = ['content-type', 'date', 'last-modified', 'etag', 'request-id', 'x-request-id']

const keptHeaders = (headers: Headers): Headers =>
  Object.fromEntries(KEPT_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])))

/** The answer to a poll that ends its task, and the event that was read from it. */
export interface TerminalAnswer {
  readonly headers: Headers
  /** The bytes of the answer; for a truncated answer, its outline. */
  readonly body: Buffer
  readonly receivedAtMs: number
  readonly reading: ReadResult
  readonly routing: RouteResult
  /** Present if the answer was longer than this limit. */
  readonly truncated?: { readonly limitBytes: number }
}

/** What is known about a task at its deadline: the provider's last status, and the last error. */
export interface LastKnown {
  readonly providerStatus?: string | undefined
  readonly error?: string | undefined
  /** The poll at the deadline; undefined: there was none. */
  readonly question?: Question | undefined
}

/** `late`: the task had ended meanwhile, or another process holds its lease; no event was stored. */
type KeepOutcome = 'kept' | 'late'

/**
 * Makes an event from the answer to a poll, or from the expiry of a task, and ends the task in the same transaction, under its lease.
 * Rejects as `EventStore.append` does.
 */
export interface PollAnswers {
  /** `asked`: the poll that the answer is to. */
  keepAnswer(
    source: Source,
    task: LeasedTask & { readonly id: string },
    answer: TerminalAnswer,
    asked: Asked,
  ): Promise<KeepOutcome>
  keepExpiry(source: Source, task: LeasedTask, last: LastKnown): Promise<KeepOutcome>
}

/** The id of the event that a poll or the expiry of this task makes: neither has an id of its own. */
export const pollEventId = (taskUid: string): string => `poll_${taskUid}`

export function createPollAnswers({
  writeEvent,
  reader,
  withoutSecrets,
  clock,
}: {
  readonly writeEvent: WriteEvent
  readonly reader: Pick<BodyReader, 'event'>
  readonly withoutSecrets: SecretFilter['headers']
  readonly clock: Clock
}): PollAnswers {
  async function keepEvent(
    arrival: Omit<Arrival, 'origin' | 'taskLease'>,
    task: LeasedTask,
    record: Pick<TaskLease, 'by' | 'providerStatus' | 'error' | 'question'>,
    { reading, routing }: RoutedEvent,
  ): Promise<KeepOutcome> {
    const { uid, lease } = task
    const event = newEvent({ ...arrival, origin: 'poll', taskLease: { uid, lease, ...record } }, reading, routing)
    const { outcome } = await writeEvent(event, reading)
    return outcome === 'accepted' ? 'kept' : 'late'
  }

  return {
    async keepAnswer(source, task, answer, asked) {
      const { body, receivedAtMs, truncated } = answer
      const headers = withoutSecrets(keptHeaders(answer.headers))
      const error = truncated && `the answer was longer than ${truncated.limitBytes} bytes: only its outline is stored`
      const wrong = error === undefined ? {} : { error }
      const word = answer.reading.ok ? answer.reading.end?.word : undefined
      const said = word === undefined ? {} : { providerStatus: word }
      const record = { by: 'poll', ...wrong, question: { ...asked, outcome: 'ended', ...said, ...wrong } } as const
      return keepEvent({ source, headers, body, receivedAtMs }, task, record, answer)
    },

    async keepExpiry(source, task, { providerStatus = task.providerStatus, error = task.lastError, question }) {
      const receivedAtMs = clock()
      const about = { id: pollEventId(task.uid), task: task.id ?? task.uid, receivedAtMs }
      const body = expiryOf(about, {
        waited_since: toIso(task.createdAtMs),
        deadline: toIso(task.expiresAtMs),
        ...(providerStatus !== undefined && { provider_status: providerStatus }),
        ...(error !== undefined && { error }),
      })
      const lastKnown = {
        ...(providerStatus !== undefined && { providerStatus }),
        ...(error !== undefined && { error }),
      }
      const record = { by: 'expiry', ...lastKnown, ...(question && { question }) } as const
      const context = { ...about, type: EXPIRED_TYPE, origin: 'poll', headers: EXPIRY_HEADERS } as const
      const routed = await reader.event(source, context, body)
      return keepEvent({ source, headers: EXPIRY_HEADERS, body, receivedAtMs }, task, record, routed)
    },
  }
}

import { type Clock, toIso } from '../domain/clock.ts'
import type { AskedUnder, Headers } from '../domain/event.ts'
import type { Recover, Recovered } from '../domain/recover.ts'
import type { Source } from '../domain/source.ts'
import { EXPIRED_TYPE, type LeasedTask } from '../domain/task.ts'
import type { SecretFilter } from '../log/redact.ts'
import type { BodyReader } from './body-reader.ts'
import { newEvent, type WriteEvent } from './event-writer.ts'
import { expiryOf } from './read-event.ts'

const EXPIRY_HEADERS: Headers = { 'content-type': 'application/json' }

/** Headers of an answer that are kept: whatever else there is may repeat what was sent along with the question. */
const KEPT_HEADERS = ['content-type', 'date', 'last-modified', 'etag', 'request-id', 'x-request-id']

const keptHeaders = (headers: Headers): Headers =>
  Object.fromEntries(KEPT_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])))

/** The road of an answer to the disk: parse → validate and route → append, as from the first door but for the proof. */
export function createPollAnswers({
  keep,
  reader,
  withoutSecrets,
  clock,
}: {
  readonly keep: WriteEvent
  readonly reader: Pick<BodyReader, 'event'>
  readonly withoutSecrets: SecretFilter['headers']
  readonly clock: Clock
}): Recover {
  /** `type`: as that of a stored event, by which it is known how it is read. */
  async function keepAs(
    type: string,
    source: Source,
    task: LeasedTask,
    said: Pick<AskedUnder, 'word' | 'error'>,
    came: { readonly headers: Headers; readonly body: Buffer; readonly receivedAtMs: number },
  ): Promise<Recovered> {
    const { uid, lease } = task
    const { headers, body, receivedAtMs } = came
    const form = { id: eventIdOf(task), type, origin: 'poll', task: task.id ?? uid, headers, receivedAtMs } as const
    const { reading, routing } = await reader.event(source, form, body)
    if (!reading.ok) throw new Error(`the answer could not be read again: ${reading.reasons.join('; ')}`)
    const by = type === EXPIRED_TYPE ? 'expiry' : 'poll'
    const event = newEvent({ source, origin: 'poll', asked: { uid, lease, by, ...said }, ...came }, reading, routing)
    const { outcome } = await keep(event, reading)
    return outcome === 'accepted' ? 'kept' : 'late'
  }

  return {
    async answered(source, task, { headers, body, truncated }) {
      const receivedAtMs = clock()
      const error = truncated && `the answer was longer than ${truncated.limitBytes} bytes: what is kept is its outline`
      const came = { headers: withoutSecrets(keptHeaders(headers)), body, receivedAtMs }
      return keepAs('', source, task, error === undefined ? {} : { error }, came)
    },

    async expired(source, task, { word = task.word, error = task.lastError }) {
      const receivedAtMs = clock()
      const about = { id: eventIdOf(task), task: task.id ?? task.uid, receivedAtMs }
      const body = expiryOf(about, {
        waited_since: toIso(task.createdAtMs),
        deadline: toIso(task.expiresAtMs),
        ...(word !== undefined && { provider_status: word }),
        ...(error !== undefined && { error }),
      })
      const said = { ...(word !== undefined && { word }), ...(error !== undefined && { error }) }
      return keepAs(EXPIRED_TYPE, source, task, said, { headers: EXPIRY_HEADERS, body, receivedAtMs })
    },
  }
}

/** An answer has no id of its own, and a deadline none at all. */
const eventIdOf = ({ uid }: LeasedTask): string => `poll_${uid}`

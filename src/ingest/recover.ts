import { type Clock, toIso } from '../domain/clock.ts'
import type { AskedUnder, Headers } from '../domain/event.ts'
import { expiryOf, type Reading, readExpiry } from '../domain/read-event.ts'
import { type Readers, readHere } from '../domain/readers.ts'
import type { Recover, Recovered } from '../domain/recover.ts'
import { type Route, routeReading } from '../domain/routes.ts'
import type { SecretFilter } from '../domain/secret-filter.ts'
import type { Source } from '../domain/source.ts'
import type { LeasedTask } from '../domain/task.ts'
import type { Keep } from './keep.ts'
import { newEvent } from './new-event.ts'

const EXPIRY_HEADERS: Headers = { 'content-type': 'application/json' }

/** Headers of an answer that are kept: whatever else there is may repeat what was sent along with the question. */
const KEPT_HEADERS = ['content-type', 'date', 'last-modified', 'etag', 'request-id', 'x-request-id']

const keptHeaders = (headers: Headers): Headers =>
  Object.fromEntries(KEPT_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])))

/** The road of an answer to the disk: parse → validate and route → append, as from the first door but for the proof. */
export function createRecoverer({
  keep,
  route,
  readers = readHere,
  withoutSecrets,
  clock,
}: {
  readonly keep: Keep
  readonly route: Route
  readonly readers?: Pick<Readers, 'answer'>
  readonly withoutSecrets: SecretFilter['headers']
  readonly clock: Clock
}): Recover {
  async function keepAs(
    by: 'poll' | 'expiry',
    source: Source,
    asked: Omit<AskedUnder, 'by'>,
    came: { readonly headers: Headers; readonly body: Buffer; readonly receivedAtMs: number },
    reading: Reading,
  ): Promise<Recovered> {
    const event = newEvent(
      { source, origin: 'poll', asked: { ...asked, by }, ...came },
      reading,
      routeReading(route, source, reading, 'poll'),
    )
    const { outcome } = await keep(event, reading)
    return outcome === 'accepted' ? 'kept' : 'late'
  }

  return {
    async answered(source, task, { headers, body, truncated }) {
      const receivedAtMs = clock()
      const reading = await readers.answer(source.provider, { id: eventIdOf(task), task: task.id, receivedAtMs }, body)
      if (!reading.ok) throw new Error(`the answer could not be read again: ${reading.reasons.join('; ')}`)
      const { uid, lease } = task
      const error = truncated && `the answer was longer than ${truncated.limitBytes} bytes: what is kept is its outline`
      const asked = { uid, lease, ...(error !== undefined && { error }) }
      const came = { headers: withoutSecrets(keptHeaders(headers)), body, receivedAtMs }
      return keepAs('poll', source, asked, came, reading)
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
      const { uid, lease } = task
      const asked = { uid, lease, ...(word !== undefined && { word }), ...(error !== undefined && { error }) }
      return keepAs('expiry', source, asked, { headers: EXPIRY_HEADERS, body, receivedAtMs }, readExpiry(about, body))
    },
  }
}

/** An answer has no id of its own, and a deadline none at all. */
const eventIdOf = ({ uid }: LeasedTask): string => `poll_${uid}`
